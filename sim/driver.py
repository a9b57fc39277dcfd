"""What the host says to the accelerator, independent of how it gets there.

    accelerator = Accelerator(open_serial("/dev/ttyUSB0"))
    accelerator.load(program)
    logits = accelerator.run(images)

What is said is plain data: ``(address, bytes)`` writes, and addresses to read. `Accelerator` sends
it through any `sim.transport.Transport`; cocotb testbenches send it through `sim.host.Host`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from base.errors import HoldfastError
from gen.config import ROUNDINGS, AcceleratorConfig
from gen.layout import (
    CONTROL,
    COUNTERS,
    DESCRIPTOR_STRIDE,
    INTERFACE,
    MAGIC,
    REGION_BITS,
    REGISTERS,
    STATUS_BITS,
    STATUS_MEANINGS,
    Region,
    Status,
    word_stride,
)
from nn.pixels import image_codes
from nn.program import Chunk, Program

from .cycles import step_cycles
from .transport import AccessRefused, Transport

__all__ = [
    "REGISTER",
    "Accelerator",
    "AcceleratorError",
    "Load",
    "Write",
    "check_status",
    "chunk_writes",
    "control_word",
    "descriptor_write",
    "image_writes",
    "lanes_from_bytes",
    "lanes_to_bytes",
    "loads",
    "network_writes",
    "region",
    "status_part",
    "tensor_range",
    "tensor_writes",
]

REGISTER = {register.name: register.offset for register in REGISTERS}

_PER_START = ("cycles", *COUNTERS)
_COUNTED = (*_PER_START, "guard_output", "guard_input")
_NO_INDEX = 1 << 16

Write = tuple[int, bytes]


class AcceleratorError(HoldfastError):
    """The accelerator is another one, refused a run or did not end it."""


def region(number: int) -> int:
    """First byte address of a region."""
    return number << REGION_BITS


def lanes_to_bytes(words: NDArray[np.int8]) -> bytes:
    """Memory words [n, lanes] on the bus: one byte per lane, padded to a power of two."""
    padded = np.zeros((len(words), word_stride(words.shape[1])), np.int8)
    padded[:, : words.shape[1]] = words
    return padded.tobytes()


def lanes_from_bytes(data: bytes, lanes: int) -> NDArray[np.int8]:
    """Inverse of `lanes_to_bytes`."""
    return np.frombuffer(data, np.int8).reshape(-1, word_stride(lanes))[:, :lanes].copy()


def network_writes(program: Program) -> Iterator[Write]:
    """What is in place before a run: descriptors (of the first part), and the weights of the first
    two chunks.
    """
    yield descriptor_write(program, *program.parts[0])
    for chunk in program.chunks[:2]:
        yield from chunk_writes(chunk)


def descriptor_write(program: Program, first: int, count: int) -> Write:
    """Descriptors from `first` on, to the beginning of the program memory."""
    words = np.zeros((count, DESCRIPTOR_STRIDE), "<u4")
    words[:, : program.descriptors.shape[1]] = program.descriptors[first : first + count]
    return region(Region.PROGRAM), words.tobytes()


def chunk_writes(chunk: Chunk) -> Iterator[Write]:
    """Weights and parameters of one chunk, in their place."""
    words = lanes_to_bytes(chunk.weights)
    stride = len(words) // len(chunk.weights)
    yield region(Region.WEIGHTS) + chunk.weight_base * stride, words
    channels = chunk.parameters.astype("<u4").tobytes()
    yield region(Region.PARAMETERS) + chunk.param_base * 16, channels


@dataclass(frozen=True)
class Load:
    """A chunk that is written while the accelerator runs.

    Attributes
    ----------
    after : int
        Once the status register's index has reached this descriptor, the chunk's place is free.
    ready : int
        Value for the ready register when it is written: descriptors below it may run.
    """

    after: int
    chunk: Chunk
    ready: int


def loads(program: Program, first: int, count: int) -> list[Load]:
    """What to write for a run of descriptors beside `network_writes`; empty for a resident program.

    Loads whose ``after`` is not above ``first`` come before the start.
    """
    if program.resident:
        return []
    needed = [
        index
        for index, chunk in enumerate(program.chunks)
        if chunk.first < first + count and first < chunk.first + chunk.count
    ]
    result = []
    for position, index in enumerate(needed):
        chunk = program.chunks[index]
        # Its half is free when the chunk before the previous one is done.
        after = program.chunks[index - 1].first if position >= 2 else first
        result.append(Load(after, chunk, chunk.first + chunk.count))
    return result


def image_writes(program: Program, codes: NDArray[np.integer]) -> Iterator[Write]:
    """The image, codes [C, H, W]."""
    name = program.graph.nodes[0].name
    yield tensor_range(program, name)[0], lanes_to_bytes(program.input_words(codes))


def tensor_writes(program: Program, name: str, codes: NDArray[np.integer]) -> Iterator[Write]:
    """A tensor [C, H, W] in its place."""
    if name == program.graph.nodes[0].name:
        yield from image_writes(program, codes)
    else:
        yield tensor_range(program, name)[0], lanes_to_bytes(program.tensor_words(name, codes))


def tensor_range(program: Program, name: str) -> tuple[int, int]:
    """Byte address of a tensor and its length in bytes."""
    place = program.places[name]
    stride = word_stride(program.config.word_lanes)
    return region(Region.ACTIVATIONS + place.bank) + place.base * stride, place.size * stride


def control_word(*, start: bool = False, **settings: bool) -> int:
    """Value of the control register; settings are names of `gen.layout.CONTROL`."""
    return sum(1 << CONTROL[name] for name, on in {"start": start, **settings}.items() if on)


def status_part(value: int, name: str) -> int:
    """A part of the status register, by its name in `gen.layout.STATUS_BITS`."""
    first, width = STATUS_BITS[name]
    return value >> first & (1 << width) - 1


def check_status(value: int, config: AcceleratorConfig) -> None:
    """Raise AcceleratorError unless the status register tells of a run that ended well."""
    code, index = status_part(value, "code"), status_part(value, "index")
    if code not in STATUS_MEANINGS and code != Status.OK:
        raise AcceleratorError(
            f"the accelerator's status register holds {value:#010x}; there is no code {code}."
        )
    status = Status(code)
    if status != Status.OK:
        meaning = STATUS_MEANINGS[status].format(**asdict(config))
        raise AcceleratorError(f"the accelerator stopped: descriptor {index} {meaning}.")
    if not status_part(value, "done"):
        raise AcceleratorError("the accelerator has not finished a run.")


class Accelerator:
    """One accelerator behind a transport.

    Parameters
    ----------
    transport : Transport

    Raises
    ------
    AcceleratorError
        What answers is not a Holdfast accelerator.
    """

    def __init__(self, transport: Transport):
        self._transport = transport
        self._program: Program | None = None
        self._limit = 0
        self._settings: dict[str, bool] = {}
        # Counts of the parts of the last run before its last.
        self._earlier: Counter[str] = Counter()
        identity = self._read("id")
        if identity != MAGIC:
            raise AcceleratorError(
                f"no Holdfast accelerator answers: its id is {identity:#010x}, not {MAGIC:#010x}."
            )
        try:
            interface = self._read("interface")
        except AccessRefused:
            interface = 0
        if interface >> 16 != INTERFACE:
            raise AcceleratorError(
                f"the accelerator's registers are of version {interface >> 16:#06x}, this client's "
                f"of {INTERFACE:#06x}; make both with the same version of Holdfast."
            )
        self._array = tuple(self._read("array").to_bytes(4, "little"))
        self._widths = tuple(self._read("widths").to_bytes(4, "little"))

    @property
    def guarded(self) -> bool:
        """Whether the accelerator has a range guard."""
        return bool(self._widths[3])

    def load(self, program: Program) -> None:
        """Write a network: descriptors, parameters, weights.

        Raises
        ------
        AcceleratorError
            The program was made for another accelerator, or a run is under way.
        """
        config = program.config
        array = (config.rows, config.cols, config.act_bits, config.weight_bits)
        widths = (config.acc_bits, config.multiplier_bits, ROUNDINGS.index(config.rounding))
        if (self._array, self._widths[:3]) != (array, widths):
            raise AcceleratorError(
                f"the accelerator is {_description(self._array, self._widths)}; "
                f"the program is for {_description(array, widths)}."
            )
        self._check_idle()
        self._program = None
        for address, data in network_writes(program):
            try:
                self._transport.write(address, data)
            except AccessRefused:
                memory = Region(address >> REGION_BITS).name.lower()
                raise AcceleratorError(
                    f"the accelerator has less memory for {memory} than the program needs."
                ) from None
        self._program = program
        self._limit = 10_000 + 2 * sum(step_cycles(program, step).total() for step in program.steps)

    def guard(self, *, output: bool = False, input: bool = False, zero: bool = False) -> None:
        """Switch the range guard for the runs that follow.

        Parameters
        ----------
        output, input
            Check outputs before their clamp, and activations that enter the array.
        zero
            Replace a value by the zero point instead of the bound.

        Raises
        ------
        AcceleratorError
            The accelerator has no guard, or one with fixed bounds, which checks ``output`` alone
            and needs ``zero``.
        """
        if (output or input) and not self.guarded:
            raise AcceleratorError("the accelerator has no range guard.")
        if self._widths[3] == 2 and (input or (output and not zero)):
            raise AcceleratorError(
                "the accelerator's range guard has fixed bounds: it checks outputs alone, and "
                "replaces them by the zero point."
            )
        self._settings = {"guard_output": output, "guard_input": input, "guard_zero": zero}

    def run(self, images: NDArray[np.integer]) -> NDArray[np.int8]:
        """Run the loaded network on images, one after the other, each with one start.

        Parameters
        ----------
        images : [N, C, H, W] or [C, H, W]
            uint8: pixels; a signed type: input codes.

        Returns
        -------
        int8 [N, ...]
            Codes of the last tensor; [N, classes] if it is a vector.

        Raises
        ------
        AcceleratorError
            No network is loaded, the images have another shape, or a run ended badly.
        """
        program = self._program
        if program is None:
            raise AcceleratorError("no network is loaded.")
        shape = tuple(program.graph.nodes[0].shape)
        batch = images[None] if images.ndim == 3 else images
        if batch.shape[1:] != shape:
            raise AcceleratorError(
                f"network {program.graph.network} takes images of shape {shape}, "
                f"not {tuple(images.shape)}."
            )
        if batch.dtype == np.uint8:
            batch = image_codes(batch, program.config.act_bits).numpy()
        results = np.array([self._run(program, codes) for codes in batch], np.int8)
        return results.reshape(len(batch), -1) if results.shape[2:] == (1, 1) else results

    def classes(self, images: NDArray[np.integer]) -> NDArray[np.int64]:
        """Class of each image: the lowest index among the largest logits."""
        logits = self.run(images)
        return logits.reshape(len(logits), -1).argmax(1)

    def counters(self) -> dict[str, int]:
        """Of the last image's run: its clock cycles, where they went, and guard violations."""
        found = {name: self._read(name) for name in _COUNTED}
        return found | {
            name: value + found[name] for name, value in self._earlier.items() if name in _PER_START
        }

    def _run(self, program: Program, codes: NDArray[np.integer]) -> NDArray[np.int8]:
        self._check_idle()
        self._write(image_writes(program, codes))
        self._earlier = Counter()
        if self.guarded:
            for name in ("guard_output", "guard_input"):
                self._transport.write(REGISTER[name], bytes(4))
        parts = program.parts
        for number, (first, count) in enumerate(parts):
            if number:
                self._earlier.update({name: self._read(name) for name in _PER_START})
            if len(parts) > 1:
                self._transport.write(*descriptor_write(program, first, count))
            self._run_part(program, first, count)
        name = program.graph.nodes[-1].name
        data = self._transport.read(*tensor_range(program, name))
        return program.tensor_codes(name, lanes_from_bytes(data, program.config.word_lanes))

    def _run_part(self, program: Program, first: int, count: int) -> None:
        """Run descriptors `first` to `first + count` of the program, which lie from 0 on."""
        plan = loads(program, first, count)
        early = [load for load in plan if load.after <= first]
        for load in early:
            self._write(chunk_writes(load.chunk))
        ready = early[-1].ready - first if early else 0xFFFF
        registers = {"first": 0, "count": count, "ready": ready}
        registers["control"] = control_word(start=True, interrupt=True, **self._settings)
        for name, value in registers.items():
            self._transport.write(REGISTER[name], value.to_bytes(4, "little"))

        limit = self._limit
        for load in plan[len(early) :]:
            if not status_part(self._poll(limit, load.after - first), "busy"):
                break
            self._write(chunk_writes(load.chunk))
            self._transport.write(REGISTER["ready"], (load.ready - first).to_bytes(4, "little"))
        wait: Callable[[int], bool] | None = getattr(self._transport, "wait_interrupt", None)
        if wait is not None and not wait(limit):
            raise _too_long(limit)
        check_status(self._poll(limit), program.config)

    def _poll(self, limit: int, index: int = _NO_INDEX) -> int:
        """Status as soon as the run has reached a descriptor or has ended."""
        while True:
            status = self._read("status")
            if status_part(status, "index") >= index or not status_part(status, "busy"):
                return status
            # The accelerator's own clock: seconds mean nothing to a simulated one.
            if self._read("cycles") - self._read("stall_host") > limit:
                raise _too_long(limit)

    def _check_idle(self) -> None:
        if status_part(self._read("status"), "busy"):
            raise AcceleratorError("the accelerator is busy with another run.")

    def _read(self, name: str) -> int:
        return int.from_bytes(self._transport.read(REGISTER[name], 4), "little")

    def _write(self, writes: Iterator[Write]) -> None:
        for address, data in writes:
            self._transport.write(address, data)


def _too_long(limit: int) -> AcceleratorError:
    return AcceleratorError(f"the accelerator has not ended its run after {limit} cycles.")


def _description(array: tuple[int, ...], widths: tuple[int, ...]) -> str:
    rows, cols, act_bits, weight_bits = array
    acc_bits, multiplier_bits, rounding = widths[:3]
    return (
        f"{rows}x{cols} with {act_bits}-bit activations, {weight_bits}-bit weights, {acc_bits}-bit "
        f"accumulators, {multiplier_bits}-bit multipliers and rounding {ROUNDINGS[rounding]}"
    )
