"""Says what the host says to the accelerator, independent of how it gets there.

    accelerator = Accelerator(open_transport(Link("/dev/ttyUSB0")))
    accelerator.load(program)
    logits = accelerator.run(images)

What is said is plain data: ``(address, bytes)`` writes, and addresses to read. `Accelerator` sends
it through any `sim.transport.base.Transport`; simulations send it through `sim.host.Host`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.base.text import shown
from holdfast.gen.config import ROUNDINGS
from holdfast.gen.layout import CONTROL, COUNTERS, DESCRIPTOR_STRIDE, MAGIC, Region, Status
from holdfast.gen.protection.registry import PROTECTIONS, alarms
from holdfast.gen.protection.schedule_signature import ScheduleSignature
from holdfast.gen.window import REGION_BITS, word_stride
from holdfast.nn.compiler.program import Chunk, Program
from holdfast.nn.graph.pixels import pixel_codes
from holdfast.sim.machine.cycles import step_cycles
from holdfast.sim.machine.schedule import timeline_kind
from holdfast.sim.transport.base import AccessRefused, Transport

from .protected import descriptor_words, parameter_words, weight_words
from .registers import (
    AcceleratorError,
    DetectedError,
    Registers,
    check_status,
    offsets,
    preparation,
    status_part,
    too_long,
)

_PER_START = ("cycles", *COUNTERS)
_COUNTED = (*_PER_START, "guard_output", "guard_input")

Write = tuple[int, bytes]


def region(number: int) -> int:
    """Returns the first byte address of a region."""
    return number << REGION_BITS


def lanes_to_bytes(words: NDArray[np.int8]) -> bytes:
    """Returns memory words [n, lanes] on the bus: one byte per lane, padded to a power of two."""
    padded = np.zeros((len(words), word_stride(words.shape[1])), np.int8)
    padded[:, : words.shape[1]] = words
    return padded.tobytes()


def lanes_from_bytes(data: bytes, lanes: int) -> NDArray[np.int8]:
    """Returns the inverse of `lanes_to_bytes`."""
    return np.frombuffer(data, np.int8).reshape(-1, word_stride(lanes))[:, :lanes].copy()


def network_writes(program: Program) -> Iterator[Write]:
    """Returns what is in place before a run: descriptors (of the first part), and the weights of
    the first two chunks.
    """
    yield descriptor_write(program, *program.parts[0])
    for chunk in program.chunks[:2]:
        yield from chunk_writes(program, chunk)


def descriptor_write(program: Program, first: int, count: int) -> Write:
    """Descriptors from `first` on, to the beginning of the program memory."""
    words = np.zeros((count, DESCRIPTOR_STRIDE), "<u4")
    found = descriptor_words(program, first, count)
    words[:, : found.shape[1]] = found
    return region(Region.PROGRAM), words.tobytes()


def chunk_writes(program: Program, chunk: Chunk) -> Iterator[Write]:
    """Weights and parameters of one chunk, in their place."""
    words = lanes_to_bytes(weight_words(program.config, chunk.weights))
    stride = len(words) // len(chunk.weights)
    yield region(Region.WEIGHTS) + chunk.weight_base * stride, words
    channels = parameter_words(program.config, chunk.parameters).astype("<u4").tobytes()
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
    """Returns what to write for a run of descriptors beside `network_writes`; empty for a resident
    program.

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
    """Returns the image, codes [C, H, W]."""
    name = program.graph.nodes[0].name
    yield tensor_range(program, name)[0], lanes_to_bytes(program.input_words(codes))


def tensor_writes(program: Program, name: str, codes: NDArray[np.integer]) -> Iterator[Write]:
    """Returns a tensor [C, H, W] in its place."""
    if name == program.graph.nodes[0].name:
        yield from image_writes(program, codes)
    else:
        yield tensor_range(program, name)[0], lanes_to_bytes(program.tensor_words(name, codes))


def tensor_range(program: Program, name: str) -> tuple[int, int]:
    """Returns the byte address of a tensor and its length in bytes."""
    place = program.places[name]
    stride = word_stride(program.config.word_lanes)
    return region(Region.ACTIVATIONS + place.bank) + place.base * stride, place.size * stride


class Accelerator:
    """Drives one accelerator behind a transport.

    Parameters
    ----------
    transport : Transport

    Attributes
    ----------
    recoveries : list of str
        What was found in runs that were repeated, a sentence each.

    Raises
    ------
    AcceleratorError
        What answers is not a Holdfast accelerator.
    """

    def __init__(self, transport: Transport):
        self._transport = transport
        self._registers = Registers(transport)
        self._program: Program | None = None
        self._limit = 0
        self._settings: dict[str, bool] = {}
        # Counts of the parts of the last run before its last.
        self._earlier: Counter[str] = Counter()
        self.recoveries: list[str] = []

    @property
    def guarded(self) -> bool:
        """Tells whether the accelerator has a range guard."""
        return bool(self._registers.widths[3])

    def load(self, program: Program) -> None:
        """Writes a network: descriptors, parameters, weights.

        Raises
        ------
        AcceleratorError
            The program was made for another accelerator, or a run is under way.
        """
        config, found = program.config, self._registers
        array = (config.rows, config.cols, config.act_bits, config.weight_bits)
        widths = (config.acc_bits, config.multiplier_bits, ROUNDINGS.index(config.rounding))
        if (found.array, found.widths[:3]) != (array, widths):
            raise AcceleratorError(
                f"the accelerator is {_description(found.array, found.widths)}; "
                f"the program is for {_description(array, widths)}."
            )
        found.check_idle()
        self._program = None
        found.at = offsets(config)
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
        """Switches the range guard for the runs that follow.

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
        if self._registers.widths[3] == 2 and (input or (output and not zero)):
            raise AcceleratorError(
                "the accelerator's range guard has fixed bounds: it checks outputs alone, and "
                "replaces them by the zero point."
            )
        self.switch(guard_output=output, guard_input=input, guard_zero=zero)

    def switch(self, **switches: bool) -> None:
        """Switches protections, by the names of their switches, for the runs that follow; those
        that are not named are off.

        Raises
        ------
        AcceleratorError
            There is no such switch.
        """
        known = dict.fromkeys(name for kind in PROTECTIONS.values() for name in kind.switches)
        for name in switches:
            if name not in known:
                raise AcceleratorError(
                    f"there is no switch {shown(name)}; known are {', '.join(known)}."
                )
        self._settings = switches

    def alarms(self) -> dict[str, int]:
        """Returns what the protections of the loaded network's accelerator counted in the last
        image's run, by name.
        """
        if self._program is None:
            raise AcceleratorError("no network is loaded.")
        return {name: self._registers.read(name) for name in alarms(self._program.config)}

    def run(self, images: NDArray[np.integer], retries: int = 1) -> NDArray[np.int8]:
        """Runs the loaded network on images, one after the other, each with one start.

        Parameters
        ----------
        images : [N, C, H, W] or [C, H, W]
            uint8: pixels; a signed type: input codes.
        retries
            How often an image is run again in which a protection found an error. Before it,
            descriptors, parameters and weights are written anew.

        Returns
        -------
        int8 [N, ...]
            Codes of the last tensor; [N, classes] if it is a vector.

        Raises
        ------
        AcceleratorError
            No network is loaded, the images have another shape, the accelerator lacks a switch that
            is on, or a run ended badly: the network has to be loaded again.
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
            batch = pixel_codes(batch, program.config.act_bits)
        # Whatever goes wrong may have left something wrong in the memories.
        self._program = None
        results = np.array([self._repeated(program, codes, retries) for codes in batch], np.int8)
        self._program = program
        return results.reshape(len(batch), -1) if results.shape[2:] == (1, 1) else results

    def classes(self, images: NDArray[np.integer]) -> NDArray[np.int64]:
        """Class of each image: the lowest index among the largest logits."""
        logits = self.run(images)
        return logits.reshape(len(logits), -1).argmax(1)

    def counters(self) -> dict[str, int]:
        """Returns the last run's clock cycles, where they went, and guard violations."""
        found = {name: self._registers.read(name) for name in _COUNTED}
        return found | {
            name: value + found[name] for name, value in self._earlier.items() if name in _PER_START
        }

    def _repeated(
        self, program: Program, codes: NDArray[np.integer], retries: int
    ) -> NDArray[np.int8]:
        for _ in range(retries):
            try:
                return self._run(program, codes)
            except DetectedError as error:
                self.recoveries.append(str(error))
                self._write(network_writes(program))
        return self._run(program, codes)

    def _run(self, program: Program, codes: NDArray[np.integer]) -> NDArray[np.int8]:
        registers = self._registers
        registers.check_idle()
        self._write(image_writes(program, codes))
        self._earlier = Counter()
        for name, on in self._settings.items():
            if on and name not in CONTROL and name not in registers.at:
                raise AcceleratorError(
                    f"accelerator {program.config.name} has no switch {shown(name)}."
                )
        if self.guarded or program.config.protections:
            for name, value in preparation(program.config, self._settings).items():
                registers.set(name, value)
        parts = program.parts
        for number, (first, count) in enumerate(parts):
            if number:
                self._earlier.update({name: registers.read(name) for name in _PER_START})
            if len(parts) > 1:
                self._transport.write(*descriptor_write(program, first, count))
            self._run_part(program, first, count)
        name = program.graph.nodes[-1].name
        data = self._transport.read(*tensor_range(program, name))
        if not registers.trusted and registers.read("id") != MAGIC:
            raise AcceleratorError("the line's answers are not those to what was asked.")
        return program.tensor_codes(name, lanes_from_bytes(data, program.config.word_lanes))

    def _run_part(self, program: Program, first: int, count: int) -> None:
        """Run descriptors `first` to `first + count` of the program, which lie from 0 on."""
        registers = self._registers
        plan = loads(program, first, count)
        early = [load for load in plan if load.after <= first]
        for load in early:
            self._write(chunk_writes(program, load.chunk))
        ready = early[-1].ready - first if early else 0xFFFF
        if not registers.trusted:
            registers.start_nothing()
        for name, value in {"first": 0, "count": count, "ready": ready}.items():
            registers.set(name, value)
        registers.start(interrupt=True, **self._settings)

        limit = self._limit
        for load in plan[len(early) :]:
            if not status_part(registers.poll(limit, load.after - first), "busy"):
                break
            self._write(chunk_writes(program, load.chunk))
            registers.set("ready", load.ready - first)
        wait: Callable[[int], bool] | None = getattr(self._transport, "wait_interrupt", None)
        if wait is not None and not wait(limit):
            raise too_long(limit)
        status = registers.poll(limit)
        if not registers.trusted and status_part(status, "code") == Status.PROGRAM_ADDRESS:
            raise AcceleratorError("the accelerator has not begun its run.")
        check_status(status, program.config)
        if ScheduleSignature.name in program.config.protections:
            self._check_cycles(program, first, count)

    def _check_cycles(self, program: Program, first: int, count: int) -> None:
        """Raises DetectedError if a run took another time than its descriptors do."""
        spent = timeline_kind(program.config).spent
        layers = [layer for step in program.steps for layer in step.descriptors]
        expected = sum(
            spent(program.config, layer).total() for layer in layers[first : first + count]
        )
        taken = self._registers.read("cycles") - self._registers.read("stall_host")
        if taken != expected:
            raise DetectedError(f"the accelerator ran {taken} cycles instead of {expected}.")

    def _write(self, writes: Iterable[Write]) -> None:
        for address, data in writes:
            self._transport.write(address, data)


def _description(array: tuple[int, ...], widths: tuple[int, ...]) -> str:
    rows, cols, act_bits, weight_bits = array
    acc_bits, multiplier_bits, rounding = widths[:3]
    return (
        f"{rows}x{cols} with {act_bits}-bit activations, {weight_bits}-bit weights, {acc_bits}-bit "
        f"accumulators, {multiplier_bits}-bit multipliers and rounding {ROUNDINGS[rounding]}"
    )
