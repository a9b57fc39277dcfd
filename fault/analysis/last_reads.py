"""Tells until when the words that the host wrote before a run are read: weights, channel parameters
and descriptors.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from holdfast.fault.model.space import check_row, weight_word
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import DESCRIPTOR_STRIDE
from holdfast.gen.roles import Held, Role
from holdfast.sim.machine.schedule import Schedule
from holdfast.sim.machine.timeline import DescriptorTimeline as Timeline

from .effect import Ints

Reads = tuple[Ints, Ints]
"""Words, and the cycles in which they are read."""


class LastReads:
    """Knows the last reads in one inference."""

    def __init__(self, config: AcceleratorConfig, schedule: Schedule):
        self._config, self._schedule = config, schedule

    def before(self, memory: Held, address: int, cycle: int) -> bool:
        """Tells whether all reads of a word are before a cycle; False of words that are written in
        a run.
        """
        known, first = self._known(memory)
        if known is None:
            return False
        address += first
        return address >= len(known) or known[address] < cycle

    def cycles(self, memory: Held, depth: int) -> Ints | None:
        """Returns the last cycle in which each word is read, -1 without a read, [word]; None of
        words that are written in a run.
        """
        known, first = self._known(memory)
        if known is None:
            return None
        found = np.full(depth, -1)
        some = known[first : first + depth]
        found[: len(some)] = some
        return found

    def _known(self, memory: Held) -> tuple[list[int] | None, int]:
        """The last cycle by word, and the word of a memory's first."""
        weight = weight_word(self._config, memory, 0)
        row = check_row(self._config, memory, 0) if weight is None else weight[1]
        if row is not None:
            return self._weights, row
        if memory.role is Role.PARAMETER_WORDS:
            return self._parameters, 0
        return (self._program if memory.role is Role.PROGRAM_WORDS else None), 0

    @cached_property
    def _weights(self) -> list[int]:
        rows = np.arange(self._config.rows)

        def reads(run: Timeline) -> Reads:
            cycles, words = run.weight_reads
            return words[:, None] + rows, cycles[:, None] + rows

        return self._last(reads)

    @cached_property
    def _parameters(self) -> list[int]:
        columns = np.arange(self._config.cols)

        def reads(run: Timeline) -> Reads:
            tiles = run.descriptor.param_base + np.arange(run.tiles) * self._config.cols
            moments = run.finish + run.timing.parameters
            return tiles[:, None] + columns, moments[:, None] + columns

        return self._last(reads)

    @cached_property
    def _program(self) -> list[int]:
        parts = np.arange(DESCRIPTOR_STRIDE)
        return self._last(lambda run: (run.index * DESCRIPTOR_STRIDE + parts, run.fetch + parts))

    def _last(self, reads: Callable[[Timeline], Reads]) -> list[int]:
        """The last cycle by word; -1: none."""
        words, cycles = (
            np.concatenate([part.ravel() for part in parts])
            for parts in zip(*map(reads, self._schedule.runs), strict=True)
        )
        last = np.full(int(words.max()) + 1, -1)
        np.maximum.at(last, words, cycles)
        return last.tolist()
