"""Computes the output codes of a layer whose sums, residual codes or parameters are wrong.

    layers = LayerOutputs(program, schedule, guard, golden)
    effects = layers.effects(run, [Changes(sums=[(output_tile, pixel, col, difference)])])

Sums are linear modulo 2**acc_bits, so that adding differences to the golden sums is exact; what the
requantizer makes of them is computed by the integer contract.
"""

import itertools
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

_POINTS = 1 << 21
"""Points of a run, times the changes that are evaluated at once."""

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


@dataclass
class Outputs:
    """Holds what changes to a descriptor's points make of its layer.

    Attributes
    ----------
    target : (int64, int8) or None
        Flat indices of the target, ascending, and codes; None: it is golden.
    counts : int
        Violations of the output guard beyond the golden run's.
    covered : bool
        Whether the target says all: a lane without a channel has no wrong code that is read.
    sums : list of SumChange or None
        What is wrong in the sums, with `LayerOutputs.keeps_sums`; None: they do not say everything.
    """

    target: tuple[Ints, NDArray[np.int8]] | None = None
    counts: int = 0
    covered: bool = True
    sums: list[SumChange] | None = field(default_factory=list)


class LayerOutputs:
    """Computes output codes of the layers of one image's inference.

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
        # A shortcut to more channels takes what lies behind the last one for zero.
        self._lengthened = {
            step.reads[-1]
            for step in program.steps
            if step.residual and step.reads[-1] != step.residual
        }
        self._values: dict[int, LayerValues] = {}
        self._codes: dict[int, tuple[NDArray, NDArray]] = {}

    def values(self, run: Timeline) -> LayerValues:
        """Returns the golden values of a descriptor."""
        if run.index not in self._values:
            self._values[run.index] = LayerValues(self.program, run, self.guard, self.golden)
        return self._values[run.index]

    def reads_all_lanes(self, name: str) -> bool:
        """Tells whether a wrong code in a lane of a tensor that holds no channel may be seen: an
        input guard counts it, or a residual is read there.
        """
        return self.guard.input or name in self._lengthened

    def meets_codes(self, run: Timeline, loaded: int, row: int) -> bool:
        """Tells whether it is known what meets a row of a loaded weight tile. Lanes behind the last
        channel have no weights, and hold anything where no guard has them filled.
        """
        filled = self.config.learnt_guard or run.step.reads[0] == self.program.graph.nodes[0].name
        return filled or bool(self.values(run).weights[loaded, row].any())

    def effects(self, run: Timeline, changes: Sequence[Changes]) -> list[Effect]:
        """Returns what changes to a run's sums do, each alone."""
        joins = isinstance(self.program.graph[run.step.target], ConcatNode)
        effects = []
        for found in self.evaluate(run, changes):
            if not found.covered or (found.target and joins):
                effects.append(Effect(rtl=run.fetch))
                continue
            tensors = {run.step.target: found.target} if found.target else {}
            sums = found.sums if self.keeps_sums else None
            effects.append(Effect(run.step, tensors, found.counts, True, sums=sums))
        return effects

    def evaluate(self, run: Timeline, changes: Sequence[Changes]) -> list[Outputs]:
        """Returns what each of some changes to a run makes of its target and its sums."""
        size = self.values(run).sums.size
        most = max(1, _POINTS // size)
        parts = [changes[begin : begin + most] for begin in range(0, len(changes), most)]
        return [found for part in parts for found in self._evaluated(run, part)]

    def _evaluated(self, run: Timeline, changes: Sequence[Changes]) -> list[Outputs]:
        """All changes at once: points are numbered through, one change's after the other's."""
        values, size = self.values(run), self.values(run).sums.size
        index, add = self._changed_points(run, changes)
        if not len(index):
            return [Outputs() for _ in changes]
        unique, total = _totals(index, add, len(changes) * size)
        number, flat = np.divmod(unique, size)
        tau, rest = np.divmod(flat, run.pixels * self.config.cols)
        points = (tau, *np.divmod(rest, self.config.cols))
        bounds = np.searchsorted(number, np.arange(len(changes) + 1)).tolist()
        ranges = [slice(*ends) for ends in itertools.pairwise(bounds)]
        parameters = residual = None
        if any(change.parameters for change in changes):
            parameters = values.parameters.at((tau, points[2]))
        if any(change.residuals for change in changes):
            residual = values.residual(points)
        for case, (change, part) in enumerate(zip(changes, ranges, strict=True)):
            for tile, column, memory, faulty in change.parameters:
                assert parameters is not None
                hit = (tau[part] == tile) & (points[2][part] == column)
                parameters.words[memory][part][hit] = faulty
            for point, code in change.residuals:
                assert residual is not None
                residual[np.searchsorted(unique, case * size + point)] = code
        golden, before = self.golden_codes(run)
        sums = wrap(values.sums.ravel()[flat] + total, self.config.acc_bits)
        codes, bad = values.codes(points, sums, parameters, residual)
        hit = np.flatnonzero((codes != golden[flat]) & run.mask()[points[2]])
        targets = self._targets(run, number[hit], [axis[hit] for axis in points], codes[hit])
        counts = np.bincount(number, bad - before[flat], len(changes)).astype(np.int64)
        found = [
            Outputs(targets.get(case), int(count), covered=targets.get(case, ()) is not None)
            for case, count in enumerate(counts)
        ]
        if self.keeps_sums:
            for change, part, outputs in zip(changes, ranges, found, strict=True):
                if part.start < part.stop:
                    mine = tuple(axis[part] for axis in points)
                    wrong = self._wrong_sums(run, change, mine, total[part])
                    outputs.sums = None if wrong is None else [wrong]
        return found

    def _changed_points(self, run: Timeline, changes: Sequence[Changes]) -> tuple[Ints, Ints]:
        """Points that are to be computed, numbered through, and what is added to their sums."""
        size, cols = self.values(run).sums.size, self.config.cols
        parts, adds = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for case, change in enumerate(changes):
            first = case * size
            for tau, pixel, col, difference in change.sums:
                point = (tau * run.pixels + pixel) * cols + (col + first)
                point, difference = np.broadcast_arrays(point, difference)
                parts.append(point.ravel())
                adds.append(difference.ravel())
            others = [point for point, _ in change.residuals]
            for tile, column, _, _ in change.parameters:
                others.append((tile * run.pixels + np.arange(run.pixels)) * cols + column)
            parts += [point + first for point in others]
            adds += [np.zeros(len(point), np.int64) for point in others]
        return np.concatenate(parts), np.concatenate(adds)

    def _targets(
        self, run: Timeline, number: Ints, points: Sequence[Ints], codes: Ints
    ) -> dict[int, tuple[Ints, NDArray[np.int8]] | None]:
        """Elements of the target, ascending, and their codes, by change that changes some; None
        where it is not covered.
        """
        if not len(number):
            return {}
        channel, spot = self._spots(run, points)
        place = self.program.places[run.step.target]
        element = channel * place.height * place.width + spot
        every = self.reads_all_lanes(run.step.target)
        missing = set(number[channel < 0].tolist()) if every else set()
        used = np.flatnonzero(channel >= 0)
        order = used[np.lexsort((element[used], number[used]))]
        cases, firsts = np.unique(number[order], return_index=True)
        ends = [*firsts.tolist(), len(order)][1:]
        element, found = element[order], codes[order].astype(np.int8)
        result: dict[int, tuple[Ints, NDArray[np.int8]] | None] = {
            case: (element[first:end], found[first:end])
            for case, first, end in zip(cases.tolist(), firsts.tolist(), ends, strict=True)
        }
        return result | dict.fromkeys(missing)

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

    def golden_codes(self, run: Timeline) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """Returns the golden codes of all points of a run, flat, and whether the output guard
        replaced them.
        """
        if run.index not in self._codes:
            values = self.values(run)
            points = tuple(axis.ravel() for axis in np.indices(values.sums.shape))
            codes, bad = values.codes(points, values.sums.ravel())
            self._codes[run.index] = codes.astype(np.int8), bad.astype(np.int8)
        return self._codes[run.index]

    def tensors(
        self, run: Timeline, points: Sequence[Ints], codes: Ints
    ) -> dict[str, tuple[Ints, NDArray[np.int8]]] | None:
        """Returns what wrong codes of a run's points are in its target, as an `Effect` has it; None
        where that does not say all.
        """
        name = run.step.target
        channel, spot = self._spots(run, points)
        if self.reads_all_lanes(name) and (channel < 0).any():
            return None
        place = self.program.places[name]
        index = channel * place.height * place.width + spot
        used = channel >= 0
        return {name: joined([(index[used], codes[used])])} if used.any() else {}


def joined(parts: Sequence[tuple[Ints, NDArray]]) -> tuple[Ints, NDArray[np.int8]]:
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
