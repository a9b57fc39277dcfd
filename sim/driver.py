"""What the host says to the accelerator, independent of how it gets there.

All of it is plain data: ``(address, bytes)`` writes, and addresses to read. Testbenches send it
through AXI; any other transport can do the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gen.config import AcceleratorConfig
from gen.errors import HoldfastError
from gen.layout import (
    CONTROL,
    DESCRIPTOR_STRIDE,
    REGION_BITS,
    REGISTERS,
    Region,
    Status,
    word_stride,
)
from nn.program import Chunk, Program

__all__ = [
    "REGISTER",
    "AcceleratorError",
    "Load",
    "check_status",
    "chunk_writes",
    "control_word",
    "image_writes",
    "lanes_from_bytes",
    "lanes_to_bytes",
    "loads",
    "network_writes",
    "region",
    "tensor_range",
    "tensor_writes",
]

REGISTER = {register.name: register.offset for register in REGISTERS}

Write = tuple[int, bytes]


class AcceleratorError(HoldfastError):
    """The accelerator refused a run."""


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
    """What is in place before a run: descriptors, and the weights of the first two chunks."""
    words = np.zeros((len(program.descriptors), DESCRIPTOR_STRIDE), "<u4")
    words[:, : program.descriptors.shape[1]] = program.descriptors
    yield region(Region.PROGRAM), words.tobytes()
    for chunk in program.chunks[:2]:
        yield from chunk_writes(chunk)


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


def check_status(value: int, config: AcceleratorConfig) -> None:
    """Raise AcceleratorError unless the status register tells of a run that ended well."""
    status, index = Status(value >> 8 & 0xFF), value >> 16
    bounds = {
        Status.BAD_DESCRIPTOR: "holds a value that this accelerator does not support",
        Status.ACTIVATION_ADDRESS: f"reads beyond the {config.act_depth} words of its input bank",
        Status.WEIGHT_ADDRESS: f"reads beyond the {config.weight_depth} words of weights",
        Status.PARAMETER_ADDRESS: f"reads beyond the {config.param_depth} channels of parameters",
        Status.OUTPUT_ADDRESS: f"writes beyond the {config.act_depth} words of its output bank",
        Status.RESIDUAL_ADDRESS: f"reads beyond the {config.act_depth} words of its residual bank",
        Status.ACCUMULATOR_ADDRESS: f"has more pixels than the {config.acc_depth} accumulators",
        Status.PROGRAM_ADDRESS: f"lies outside the {config.program_depth} descriptors",
    }
    if status != Status.OK:
        raise AcceleratorError(f"the accelerator stopped: descriptor {index} {bounds[status]}.")
    if not value & 2:
        raise AcceleratorError("the accelerator has not finished a run.")
