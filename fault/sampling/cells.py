"""Parts the faults of a structure into cells that are alike: what is struck, bit, layer, phase.

    cells = Cells(space, schedule, model, sampler)
    cells.population("weight_memory")            # int64 [cell], the last one of what is unused
    cells.of("weight_memory", states, places, cycles)

What is struck is a register, or the part of a descriptor that a word of the program memory holds.
The layer is the one that runs; of weights, parameters and descriptors, which a layer reads once,
it is the last that reads the word. Only registers are told apart by phase. Words that the schedule
does not read any more (`fault.sampling.use`) are one cell.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from holdfast.fault.model.models.upset import UpsetModel
from holdfast.fault.model.space import FaultSpace, State
from holdfast.gen.layout import DESCRIPTOR_STRIDE
from holdfast.gen.roles import Role
from holdfast.sim.machine.schedule import Schedule

from .sampler import PHASES, Sampler, phase_bounds
from .use import run_bounds, used_cycles

Ints = NDArray[np.int64]
_ONCE = (Role.WEIGHT_WORDS, Role.PARAMETER_WORDS, Role.PROGRAM_WORDS)


class _Memory(NamedTuple):
    """Words of a memory: cycles in use [word, run], and the last run that reads them or -1."""

    used: Ints
    reader: Ints


class Cells:
    """Cells of single upsets, and of adjacent bits that are upset together.

    Parameters
    ----------
    space : FaultSpace
        What is injected into.
    known : bool
        Nothing but the schedule looks at words of memories.
    """

    def __init__(
        self,
        space: FaultSpace,
        schedule: Schedule,
        model: UpsetModel,
        sampler: Sampler,
        known: bool = True,
    ):
        self.space, self._schedule, self._model = space, schedule, model
        self._known = known
        self._layers = {step.name: n for n, step in enumerate(schedule.program.steps)}
        self._layer = np.array([self._layers[run.step.name] for run in schedule.runs])
        bounds = [phase_bounds(run) for run in schedule.runs]
        self._phases = np.array([run[phase][0] for run in bounds for phase in PHASES])
        edges = np.array([cycle for part in sampler.window for cycle in part])
        steps = [length for begin, end in sampler.window for length in (0, end - begin)]
        self._window = edges, np.cumsum(steps)
        self._memories: dict[tuple, _Memory | None] = {}

    def shape(self, structure: str) -> tuple[int, int, int, int]:
        """Returns how many things are struck, bits, layers and phases there are."""
        members = self.space.members(structure)
        width = max(state.width for state in members)
        struck = max(len(members), DESCRIPTOR_STRIDE)
        return struck, width, len(self._layers), len(PHASES)

    def population(self, structure: str) -> Ints:
        """Counts the faults of every cell, and last of those in unused words."""
        found = np.zeros(self.shape(structure), np.int64)
        unused = 0
        for index, state in enumerate(self.space.members(structure)):
            bits = slice(0, state.width - self._model.bits + 1)
            memory = self._memory(state)
            if memory is None:
                periods = np.diff(self._before(np.append(self._phases, self._schedule.cycles)))
                periods[0] += self._before(self._phases[:1])[0]
                for period, cycles in enumerate(periods):
                    layer = self._layer[period // len(PHASES)]
                    found[index, bits, layer, period % len(PHASES)] += cycles * state.depth
                continue
            begins = run_bounds(self._schedule)[:-1]
            cycles = self._before(begins + memory.used) - self._before(begins)
            layers = self._layer[np.where(memory.reader[:, None] >= 0, memory.reader[:, None],
                                          np.arange(len(begins)))]  # fmt: skip
            counted = np.zeros((found.shape[0], found.shape[2]), np.int64)
            struck = self._struck(state, index, np.arange(state.depth))
            np.add.at(counted, (np.broadcast_to(struck[:, None], layers.shape), layers), cycles)
            found[:, bits, :, 0] += counted[:, None]
            whole = state.depth * int(self._window[1][-1])
            unused += (whole - int(cycles.sum())) * (bits.stop - bits.start)
        return np.append(found.ravel(), unused)

    def of(self, structure: str, states: Ints, places: Ints, cycles: Ints) -> Ints:
        """Returns the cells of faults: numbers of registers or memories in the structure, of the
        places in them, and the cycles in which they begin.
        """
        shape, members = self.shape(structure), self.space.members(structure)
        widths = np.array([state.width for state in members]) - self._model.bits + 1
        words, bits = np.divmod(places, widths[states])
        period = np.searchsorted(self._phases, cycles, side="right") - 1
        run = np.maximum(period, 0) // len(PHASES)
        struck, layer = states.copy(), self._layer[run]
        phase = np.maximum(period, 0) % len(PHASES)
        unused = np.zeros(len(states), bool)
        begins = run_bounds(self._schedule)
        for index in np.unique(states):
            memory = self._memory(members[index])
            if memory is None:
                continue
            here = np.flatnonzero(states == index)
            word = words[here]
            unused[here] = cycles[here] - begins[run[here]] >= memory.used[word, run[here]]
            reader = memory.reader[word]
            layer[here] = self._layer[np.where(reader >= 0, reader, run[here])]
            phase[here] = 0
            struck[here] = self._struck(members[index], int(index), word)
        found = np.ravel_multi_index((struck, bits, layer, phase), shape)
        return np.where(unused, np.prod(shape), found)

    def _struck(self, state: State, index: int, words: Ints) -> Ints:
        if state.held.role is Role.PROGRAM_WORDS:
            return words % DESCRIPTOR_STRIDE
        return np.full(len(words), 0 if state.kind == "memory" else index)

    def _before(self, cycles: Ints) -> Ints:
        """Counts the cycles before some in which faults begin."""
        return np.interp(cycles, *self._window).astype(np.int64)

    def _memory(self, state: State) -> _Memory | None:
        """What is known of a memory's words; None of a register."""
        place = tuple((key, value) for key, value in state.held.place.items() if key != "lane")
        key = state.held.role, state.depth, place
        if key not in self._memories:
            used = used_cycles(self._schedule, state) if self._known else None
            if used is None and state.kind == "memory":
                used = np.tile(np.diff(run_bounds(self._schedule)), (state.depth, 1))
            if used is not None:
                reader = np.full(state.depth, -1)
                if state.held.role in _ONCE:
                    read = used > 0
                    reader = np.where(read.any(1), read.shape[1] - 1 - read[:, ::-1].argmax(1), -1)
                self._memories[key] = _Memory(used, reader)
            else:
                self._memories[key] = None
        return self._memories[key]
