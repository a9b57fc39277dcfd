"""Computes the output codes of a layer whose sums, residual codes or parameters are wrong.

    layers = LayerOutputs(program, schedule, guard, golden)
    effect = layers.points(run, tile, pixel, col, difference)

Sums are linear modulo 2**acc_bits, so that adding differences to the golden sums is exact; what the
requantizer makes of them is computed by the integer contract.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from holdfast.fault.outcome.pattern import SumChange
from holdfast.nn.compiler.program import Program
from holdfast.nn.graph.graph import ConcatNode
from holdfast.nn.graph.guard_modes import GuardSettings
from holdfast.sim.machine.layer_values import LayerValues, wrap
from holdfast.sim.machine.schedule import Schedule
from holdfast.sim.machine.timeline import DescriptorTimeline as Timeline

from .effect import Effect, Ints

__all__ = ["Changes", "LayerOutputs", "NotCoveredError", "Points", "joined"]

Points = Callable[[Timeline, Ints, Ints, Ints, Ints], Effect]
"""What differences of sums do, by tile, pixel, column and difference."""


@dataclass
class Changes:
    """Changes to one descriptor's points: differences of sums (output tile, pixel, column,
    difference), residual codes (flat [output tile, pixel, column], code), parameters (output tile,
    column, memory, word).
    """

    sums: list[tuple[Ints, Ints, Ints, Ints]] = field(default_factory=list)
    residuals: list[tuple[Ints, Ints]] = field(default_factory=list)
    parameters: list[tuple[int, int, str, int]] = field(default_factory=list)
    counts: int = 0


class NotCoveredError(Exception):
    """The analysis does not cover what happens in a cycle."""

    def __init__(self, cycle: int):
        self.cycle = cycle


class LayerOutputs:
    """Output codes of the layers of one image's inference.

    Parameters
    ----------
    golden : Mapping
        Golden codes [C, H, W] of every node, the image's among them.
    keeps_sums : bool
        Keep what is wrong in the sums, for `fault.outcome.pattern`.
    """

    def __init__(
        self,
        program: Program,
        schedule: Schedule,
        guard: GuardSettings,
        golden: Mapping[str, NDArray[np.int8]],
        keeps_sums: bool = False,
    ):
        self.program, self.schedule, self.guard = program, schedule, guard
        self.config, self.golden, self.keeps_sums = program.config, golden, keeps_sums
        self.lanes = {name: np.array(place.lanes) for name, place in program.places.items()}
        self._values: dict[int, LayerValues] = {}
        self._codes: dict[int, tuple[NDArray, NDArray]] = {}

    def values(self, run: Timeline) -> LayerValues:
        """Returns the golden values of a descriptor."""
        if run.index not in self._values:
            self._values[run.index] = LayerValues(self.program, run, self.guard, self.golden)
        return self._values[run.index]

    def points(self, run: Timeline, tile: Ints, pixel: Ints, col: Ints, difference: Ints) -> Effect:
        """Returns what differences that tiles add to totals do: arrays of one common shape."""
        change = Changes(sums=[(tile // run.reductions, pixel, col, difference)])
        effect = Effect(run.step, summed=True, sums=[] if self.keeps_sums else None)
        target: list[tuple[Ints, Ints]] = []
        try:
            effect.counts = self.evaluate(run, change, target, effect)
        except NotCoveredError as where:
            return Effect(rtl=where.cycle)
        if target:
            if isinstance(self.program.graph[run.step.target], ConcatNode):
                return Effect(rtl=run.fetch)
            effect.tensors[run.step.target] = joined(target)
        return effect

    def evaluate(
        self, run: Timeline, change: Changes, target: list[tuple[Ints, Ints]], effect: Effect
    ) -> int:
        """Add changed codes of the run's target to ``target``, and what is wrong in its sums to
        the effect's; returns additional violations.
        """
        values = self.values(run)
        cols = self.config.cols
        shape = (run.tiles, run.pixels, cols)
        parts: list[Ints] = []
        adds: list[Ints] = []
        for arrays in change.sums:
            *axes, difference = np.broadcast_arrays(*arrays)
            parts.append(np.ravel_multi_index(tuple(axes), shape).ravel())
            adds.append(difference.ravel())
        for point, _ in change.residuals:
            parts.append(point)
            adds.append(np.zeros(len(point), np.int64))
        for tile, column, _, _ in change.parameters:
            pixels = np.arange(run.pixels)
            parts.append((tile * run.pixels + pixels) * cols + column)
            adds.append(np.zeros(run.pixels, np.int64))
        if not parts:
            return 0
        unique, total = _totals(np.concatenate(parts), np.concatenate(adds), values.sums.size)
        points = np.unravel_index(unique, shape)
        parameters = residual = None
        if change.parameters:
            parameters = values.parameters.at((points[0], points[2]))
            for tile, column, memory, faulty in change.parameters:
                hit = (points[0] == tile) & (points[2] == column)
                parameters.words[memory][hit] = faulty
        if change.residuals:
            residual = values.residual(points)
            for point, code in change.residuals:
                residual[np.searchsorted(unique, point)] = code
        if effect.sums is not None:
            found = self._wrong_sums(run, change, points, total)
            effect.sums = None if found is None else [*effect.sums, found]
        golden, before = self._golden_codes(run)
        sums = wrap(values.sums.ravel()[unique] + total, self.config.acc_bits)
        codes, bad = values.codes(points, sums, parameters, residual)
        hit = (codes != golden[unique]) & run.mask()[points[2]]
        if hit.any():
            self.place(run, [axis[hit] for axis in points], codes[hit], target)
        return int(bad.sum() - before[unique].sum())

    def _wrong_sums(
        self, run: Timeline, change: Changes, points: tuple[Ints, ...], total: Ints
    ) -> SumChange | None:
        """Returns what a change makes of the run's sums; None if that does not say everything."""
        gain = 1.0
        if change.residuals or len(change.parameters) > 1 or (change.sums and change.parameters):
            return None
        bits = self.config.acc_bits
        right = self.values(run).parameters.at((points[0], points[2]))
        golden = wrap(self.values(run).sums[points] + right.bias, bits)
        faulty = wrap(golden + total, bits)
        for tile, column, memory, word in change.parameters:
            wrong = self.values(run).parameters.at((np.array([tile]), np.array([column])))
            before = int(right.shift[0]), int(np.ravel(right.multiplier)[0])
            wrong.words = {**wrong.words, memory: np.array([word])}
            if memory == "bias":
                faulty = wrap(golden + wrong.bias - right.bias, bits)
                continue
            if memory == "bounds" or not before[1]:
                return None
            gain = int(np.ravel(wrong.multiplier)[0]) / before[1]
            gain *= 2.0 ** (before[0] - int(wrong.shift[0]))
        channel, spot = self._spots(run, points)
        used = run.mask()[points[2]] & (channel >= 0)
        place = self.program.places[run.step.target]
        elements = channel * place.height * place.width + spot
        return SumChange(elements[used], golden[used], faulty[used], gain)

    def _spots(self, run: Timeline, points: Sequence[Ints]) -> tuple[Ints, Ints]:
        """Channel (-1: none) and pixel of the target where a run's points are stored."""
        place = self.program.places[run.step.target]
        words, lanes = run.outputs
        tau, pixel, col = points
        spot, word = np.divmod(words[tau, pixel, col] - place.base, place.words)
        within = word * self.config.word_lanes + lanes[tau, col]
        return self.lanes[run.step.target][within], spot

    def _golden_codes(self, run: Timeline) -> tuple[Ints, Ints]:
        if run.index not in self._codes:
            values = self.values(run)
            points = tuple(axis.ravel() for axis in np.indices(values.sums.shape))
            self._codes[run.index] = values.codes(points, values.sums.ravel())
        return self._codes[run.index]

    def place(
        self, run: Timeline, points: Sequence[Ints], codes: Ints, target: list[tuple[Ints, Ints]]
    ) -> None:
        place = self.program.places[run.step.target]
        channel, spot = self._spots(run, points)
        if self.guard.input and (channel < 0).any():
            raise NotCoveredError(run.fetch)
        index = channel * place.height * place.width + spot
        used = channel >= 0
        if used.any():
            target.append((index[used], codes[used]))


def joined(parts: Sequence[tuple[Ints, Ints]]) -> tuple[Ints, NDArray[np.int8]]:
    """Indices, ascending, and codes; where an index stands twice the later code holds."""
    index, codes = (np.concatenate(column)[::-1] for column in zip(*parts, strict=True))
    unique, first = np.unique(index, return_index=True)
    return unique, codes[first].astype(np.int8)


def _totals(index: Ints, add: Ints, size: int) -> tuple[Ints, Ints]:
    """Indices that occur, ascending, and the sum of what is added to each."""
    if (index[1:] > index[:-1]).all():
        return index, add
    if len(index) < size // 64:
        unique, inverse = np.unique(index, return_inverse=True)
        # Exact: far below 2**53.
        return unique, np.bincount(inverse, add).astype(np.int64)
    occurs = np.flatnonzero(np.bincount(index, minlength=size))
    return occurs, np.bincount(index, add, size)[occurs].astype(np.int64)
