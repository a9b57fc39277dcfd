"""Says what a bit of state is for, as far as the outcome of a fault depends on it."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from holdfast.gen.layout import DESCRIPTOR, DESCRIPTOR_STRIDE
from holdfast.gen.roles import Held, Role
from holdfast.gen.units.lane_setup import lane_parameters
from holdfast.nn.compiler.program import Program
from holdfast.sim.protected import program_words

from .space import FaultSpace, Site, check_row, weight_word


def holds_tensor(program: Program, names: Iterable[str], memory: Held, address: int) -> bool:
    """Tells whether a word of an activation memory belongs to one of some tensors."""
    bank = memory.place["bank"]
    places = [program.places[name] for name in names]
    return any(p.bank == bank and p.base <= address < p.base + p.size for p in places)


def holds_constants(program: Program, memory: Held, words: NDArray[np.int64] | int) -> bool:
    """Tells whether a word, or one of some, of descriptors, parameters or weights is written once
    and read by all runs.
    """
    # Chunks that take turns are written anew before every use.
    chunk = program.chunks[0] if program.resident else None
    if memory.role is Role.PROGRAM_WORDS:
        words, part = divmod(words, DESCRIPTOR_STRIDE)
        size = len(program.descriptors)
        inside = (words >= 0) & (words < size) & (part < program_words(program.config))
        return bool(np.any(inside))
    first = weight_word(program.config, memory, 0)
    row = check_row(program.config, memory, 0) if first is None else first[1]
    if chunk and row is not None:
        words, size = words + row - chunk.weight_base, len(chunk.weights)
    elif chunk and memory.role is Role.PARAMETER_WORDS:
        words, size = words - chunk.param_base, len(chunk.parameters)
    else:
        return False
    inside = (words >= 0) & (words < size)
    return bool(np.any(inside))


def of_guard(program: Program, space: FaultSpace, site: Site) -> bool:
    """Tells whether a bit is the guard's own: settings, counters, flags and bounds."""
    state = space[site.signal]
    role, place = state.held.role, state.held.place
    if state.structure == "guard" or place.get("field") == "bounds":
        return True
    if role is Role.LANE_PARAMETERS:
        layout = lane_parameters(program.config)
        bounds = [layout[name] for name in layout.members if name.startswith("guard_")]
        return any(f.offset <= site.bit < f.offset + f.width for f in bounds)
    word: int | str = -1
    if role is Role.DESCRIPTOR_WORD:
        word = place["word"]
    elif role is Role.PROGRAM_WORDS and site.address is not None:
        word = site.address % DESCRIPTOR_STRIDE
    return any(
        f.word == word and f.offset <= site.bit < f.offset + f.width
        for f in DESCRIPTOR
        if f.name in ("input_lo", "input_hi")
    )
