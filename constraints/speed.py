"""Inferences per second of a network on a board, from exact cycles and the bytes on its line."""

import numpy as np

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.program import Program
from holdfast.nn.graph.shipped import load_network
from holdfast.sim.driver import (
    Write,
    chunk_writes,
    descriptor_write,
    image_writes,
    loads,
    tensor_range,
)
from holdfast.sim.machine.cycles import step_cycles

from .boards import Board

_BITS_PER_BYTE = 10
_HEADER, _WORD = 6, 4
# Bytes of a frame's words, and of its checksum.
_PLAIN, _CHECKED = (512, 0), (256, 4)
_REGISTER_WRITES = 6


def inference_rate(network: str, config: AcceleratorConfig, board: Board) -> float | None:
    """Inferences per second of compute: core clock / exact cycles; None if it does not fit."""
    program = _program(network, config)
    return None if program is None else round(board.core_mhz * 1e6 / program_cycles(program), 2)


def end_to_end_rate(network: str, config: AcceleratorConfig, board: Board) -> float | None:
    """Returns the same with everything that crosses the board's serial line for each image, nothing
    of it overlapping the compute; None if it does not fit or there is no serial line.
    """
    program = _program(network, config)
    if program is None or not board.baud:
        return None
    seconds = program_cycles(program) / board.core_mhz / 1e6
    seconds += line_bytes(program, board.checksum) * _BITS_PER_BYTE / board.baud
    return round(1 / seconds, 3)


def program_cycles(program: Program) -> int:
    """Returns clock cycles of one image, waiting for the host left out."""
    return sum(step_cycles(program, step).total() for step in program.steps)


def line_bytes(program: Program, checksum: bool = False) -> int:
    """Bytes on the serial line for one image, both directions, without the polls for its end and
    what is read back without a checksum.
    """
    shape = program.graph.nodes[0].shape
    total = 0
    writes: list[Write] = []
    writes += image_writes(program, np.zeros(shape, np.int8))
    for first, count in program.parts:
        if len(program.parts) > 1:
            writes.append(descriptor_write(program, first, count))
        for load in loads(program, first, count):
            writes += chunk_writes(program, load.chunk)
        total += _REGISTER_WRITES * _written(_WORD, checksum)
    total += sum(_written(len(data), checksum) for _, data in writes)
    return total + _read(tensor_range(program, program.graph.nodes[-1].name)[1], checksum)


def _written(length: int, checksum: bool) -> int:
    """Bytes for a write: its frames, and the question whether they have arrived."""
    burst, check = _CHECKED if checksum else _PLAIN
    return length + -(-length // burst) * (_HEADER + check) + _read(_WORD, checksum)


def _read(length: int, checksum: bool) -> int:
    """Bytes for a read: its frames and their answers."""
    burst, check = _CHECKED if checksum else _PLAIN
    return length + -(-length // burst) * (_HEADER + 2 * check)


def _program(network: str, config: AcceleratorConfig) -> Program | None:
    try:
        return compile_graph(load_network(network), config, parts=True)
    except HoldfastError:
        return None
