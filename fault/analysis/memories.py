"""Computes analytically how corrupted memory words affect the layer being executed.

    analysis = MemoryFaultAnalysis(program, schedule, guard, golden, netlist.held)
    effect = analysis.resolve(cycle, words)

All registers are golden in ``cycle``, and some memory words are not. From then on a word only
matters where the schedule reads it before it is written:

- a partial sum is carried to its pixel's total, to which it adds its difference;
- an activation adds its difference times the weights to the sums of every later read;
- a residual code or a channel parameter enters the requantization of its pixels;
- a weight adds its difference times the activations to every pixel of its column and tile.

Sums are linear modulo 2**acc_bits, so that all this is exact; what the requantizer makes of the
changed sums is computed by the contract. Words that a later layer reads stay for the golden model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from holdfast.fault.injection.lockstep import Differences
from holdfast.fault.model.space import weight_word
from holdfast.fault.outcome.pattern import SumChange
from holdfast.gen.layout import DESCRIPTOR_STRIDE
from holdfast.gen.roles import Held, Role
from holdfast.nn.compiler.program import Program, Step
from holdfast.nn.graph.graph import ConcatNode
from holdfast.nn.graph.guard_modes import GuardSettings
from holdfast.sim.machine.banks import live_after, store
from holdfast.sim.machine.layer_values import (
    LayerValues,
    Parameters,
    signed,
    wrap,
)
from holdfast.sim.machine.timeline import DescriptorTimeline, Schedule

__all__ = ["Effect", "MemoryFaultAnalysis"]

Ints = NDArray[np.int64]


@dataclass
class Effect:
    """What is wrong once a layer has ended.

    Attributes
    ----------
    step : Step or None
        The layer; None if nothing was read.
    tensors : dict
        By stored tensor, flat indices and faulty codes.
    counts : int
        Guard violations in the layer beyond the golden run's.
    summed : bool
        Accumulators or requantizer saw a difference.
    rtl : int or None
        The closed form does not cover it: the first cycle in which something differs beside the
        words; the fault can be injected there.
    sums : list of SumChange or None
        What is wrong in the layer's sums, if nothing else is: only with
        `MemoryFaultAnalysis.keeps_sums`.
    """

    step: Step | None = None
    tensors: dict[str, tuple[Ints, NDArray[np.int8]]] = field(default_factory=dict)
    counts: int = 0
    summed: bool = False
    rtl: int | None = None
    sums: list[SumChange] | None = None

    @property
    def key(self) -> tuple:
        """Equal for equal effects."""
        name = self.step.name if self.step else ""
        parts = ((n, i.tobytes(), c.tobytes()) for n, (i, c) in sorted(self.tensors.items()))
        return name, *parts


@dataclass
class _Changes:
    """Changes to one run's points: differences of sums (tau, pixel, column, difference), residual
    codes (flat [tau, pixel, column], code), parameters (tau, column, memory, word).
    """

    sums: list[tuple[Ints, Ints, Ints, Ints]] = field(default_factory=list)
    residuals: list[tuple[Ints, Ints]] = field(default_factory=list)
    parameters: list[tuple[int, int, str, int]] = field(default_factory=list)
    counts: int = 0


class _NotCovered(Exception):
    def __init__(self, cycle: int):
        self.cycle = cycle


class MemoryFaultAnalysis:
    """Resolves differing memory words of one image's inference.

    Parameters
    ----------
    golden : Mapping
        Golden codes [C, H, W] of every node, the image's among them.
    held : Mapping
        What registers and memories are for, by name.
    keeps_sums : bool
        Keep what is wrong in the sums, for `fault.outcome.pattern`.
    """

    def __init__(
        self,
        program: Program,
        schedule: Schedule,
        guard: GuardSettings,
        golden: Mapping[str, NDArray[np.int8]],
        held: Mapping[str, Held],
        keeps_sums: bool = False,
    ):
        self.held = held
        self.program, self.schedule, self.guard = program, schedule, guard
        self.keeps_sums = keeps_sums
        self.config = program.config
        self._golden = golden
        self._values: dict[int, LayerValues] = {}
        self._codes: dict[int, tuple[NDArray, NDArray]] = {}
        self._stored: dict[str, NDArray[np.int8]] = {}
        self._lanes = {name: np.array(place.lanes) for name, place in program.places.items()}

    def values(self, run: DescriptorTimeline) -> LayerValues:
        """Golden values of a run."""
        if run.index not in self._values:
            self._values[run.index] = LayerValues(self.program, run, self.guard, self._golden)
        return self._values[run.index]

    def resolve(self, cycle: int, memories: Sequence[Differences]) -> Effect:
        """What words that differ in a cycle do, all registers being golden.

        Returns
        -------
        Effect
            With ``rtl`` set if the closed form does not cover it.
        """
        current = self.schedule.at(cycle)
        if current.index and cycle < current.start[0]:
            # The layer before has ended, this one has read nothing: what differs is that one's.
            current = self.schedule.runs[current.index - 1]
        changes: dict[int, _Changes] = {}
        tensors: dict[str, list[tuple[Ints, Ints]]] = {}
        try:
            for differences in memories:
                self._memory(differences, cycle, current, changes, tensors)
            steps = {self.schedule.runs[index].step.name for index in changes}
            if tensors:
                steps.add(current.step.name)
            if len(steps) > 1:
                raise _NotCovered(cycle)
        except _NotCovered as where:
            return Effect(rtl=where.cycle)
        if not steps:
            return Effect()
        step = self.schedule.runs[next(iter(changes), current.index)].step
        effect = Effect(step, sums=[] if self.keeps_sums and not tensors else None)
        target = tensors.setdefault(step.target, [])
        for index, change in changes.items():
            run = self.schedule.runs[index]
            try:
                effect.counts += change.counts + self._evaluate(run, change, target, effect)
            except _NotCovered:
                return Effect(rtl=cycle)
            effect.summed |= bool(change.sums or change.residuals or change.parameters)
        if target and isinstance(self.program.graph[step.target], ConcatNode):
            return Effect(rtl=cycle)
        effect.tensors |= {name: _joined(parts) for name, parts in tensors.items() if parts}
        return effect

    def golden_word(self, name: str, address: int, cycle: int) -> int | None:
        """What a word holds in a cycle of the golden run, unsigned; None where a partial maximum
        would be needed.
        """
        current = self.schedule.at(cycle)
        held = self.held[name]
        role, place = held.role, held.place
        if role is Role.ACTIVATION_WORDS:
            bank, lane = int(place["bank"]), int(place["lane"])
            step = current.step
            runs = [run for run in self.schedule.runs[: current.index + 1] if run.step is step]
            written = False
            for run in runs:
                if bank == run.descriptor.output_bank:
                    written |= 0 <= int(run.write_cycles(np.array([address]), lane)[0]) < cycle
            banks = self.values(current).banks
            if written:
                banks = self._after(step)
            return int(banks[bank, address, lane]) & (1 << self.config.act_bits) - 1
        if role is Role.ACCUMULATOR_WORDS:
            if current.maximum:
                return None
            lane = int(place["lane"])
            if address >= current.pixels:
                return 0
            reads = current.start + address + current.timing.accumulate + lane
            tile = int(np.searchsorted(reads + current.timing.total, cycle))
            first = tile - tile % current.reductions
            tiles = np.arange(first, tile)
            values = self.values(current)
            loaded = tiles // current.reductions if current.hold else tiles
            products = values.activations[tiles, address].astype(np.int64)
            products *= values.weights[loaded, :, lane]
            return int(products.sum()) & (1 << self.config.acc_bits) - 1
        chunk = self.program.chunks[0]
        if weights := weight_word(self.config, held, address):
            row = weights[1] - chunk.weight_base
            inside = 0 <= row < len(chunk.weights)
            value = int(chunk.weights[row, weights[0]]) if inside else 0
            return value & (1 << self.config.weight_bits) - 1
        if role is Role.PARAMETER_WORDS:
            row = address - chunk.param_base
            inside = 0 <= row < len(chunk.parameters)
            return int(self._parameters.words[str(place["field"])][row]) if inside else 0
        assert role is Role.PROGRAM_WORDS, name
        number, part = divmod(address, DESCRIPTOR_STRIDE)
        words = self.program.descriptors
        inside = number < len(words) and part < words.shape[1]
        return int(words[number, part]) if inside else 0

    def overwritten(self, name: str, address: int, cycle: int) -> bool:
        """Whether the golden run writes a word in a cycle or later."""
        current = self.schedule.at(cycle)
        runs = self.schedule.runs[current.index :]
        role, place = self.held[name].role, self.held[name].place
        if role is Role.ACTIVATION_WORDS:
            bank, lane = int(place["bank"]), int(place["lane"])
            for run in runs:
                if bank == run.descriptor.output_bank:
                    if run.write_cycles(np.array([address]), lane)[0] >= cycle:
                        return True
        elif role is Role.ACCUMULATOR_WORDS:
            offset = address + current.timing.accumulate + int(place["lane"]) + current.timing.total
            for run in runs:
                # The last reduction's total is not stored.
                storing = np.arange(len(run.start)) % run.reductions != run.reductions - 1
                if address < run.pixels and (run.start[storing] + offset >= cycle).any():
                    return True
        return False

    def points(
        self, run: DescriptorTimeline, tile: Ints, pixel: Ints, col: Ints, difference: Ints
    ) -> Effect:
        """What differences that tiles add to totals do: arrays that broadcast to one shape."""
        change = _Changes(sums=[(tile // run.reductions, pixel, col, difference)])
        effect = Effect(run.step, summed=True, sums=[] if self.keeps_sums else None)
        target: list[tuple[Ints, Ints]] = []
        effect.counts = self._evaluate(run, change, target, effect)
        if target:
            if isinstance(self.program.graph[run.step.target], ConcatNode):
                return Effect(rtl=run.fetch)
            effect.tensors[run.step.target] = _joined(target)
        return effect

    def _memory(
        self,
        differences: Differences,
        cycle: int,
        current: DescriptorTimeline,
        changes: dict[int, _Changes],
        tensors: dict[str, list[tuple[Ints, Ints]]],
    ) -> None:
        name, words, golden, faulty = differences
        role, place = self.held[name].role, self.held[name].place
        if role is Role.ACTIVATION_WORDS:
            bits = self.config.act_bits
            codes = wrap(golden, bits), wrap(faulty, bits)
            bank, lane = int(place["bank"]), int(place["lane"])
            self._activations(bank, lane, words, codes, cycle, current, changes, tensors)
        elif role is Role.ACCUMULATOR_WORDS:
            self._accumulator(int(place["lane"]), words, faulty - golden, cycle, current, changes)
        else:
            for word, old, new in zip(*(a.tolist() for a in differences[1:]), strict=True):
                self._constant(name, word, old, new, cycle, current, changes)

    def _constant(
        self,
        name: str,
        address: int,
        golden: int,
        faulty: int,
        cycle: int,
        current: DescriptorTimeline,
        changes: dict[int, _Changes],
    ) -> None:
        """A word that the host wrote before the run."""
        held = self.held[name]
        if weights := weight_word(self.config, held, address):
            bits = self.config.weight_bits
            difference = signed(faulty, bits) - signed(golden, bits)
            self._weight(*weights, difference, cycle, current, changes)
        elif held.role is Role.PARAMETER_WORDS:
            self._parameter(str(held.place["field"]), address, faulty, cycle, current, changes)
        elif held.role is Role.PROGRAM_WORDS:
            number, part = divmod(address, DESCRIPTOR_STRIDE)
            for run in self.schedule.runs:
                if run.index == number and run.fetch + part >= cycle:
                    raise _NotCovered(run.fetch + part)
        else:
            raise _NotCovered(cycle)

    def _accumulator(
        self,
        lane: int,
        pixel: Ints,
        difference: Ints,
        cycle: int,
        run: DescriptorTimeline,
        changes: dict[int, _Changes],
    ) -> None:
        if run.chained:
            # A single pixel's sum stays in the register.
            return
        offset = pixel + run.timing.accumulate + lane
        tile = np.searchsorted(run.start, cycle - offset)
        before = run.start[np.maximum(tile, 1) - 1] + offset
        # A sum begins anew with its first reduction; the pass before may have yet to write.
        kept = (pixel < run.pixels) & (tile < len(run.start)) & (tile % run.reductions != 0)
        kept &= before + run.timing.total < cycle
        if not kept.any():
            return
        if run.maximum:
            raise _NotCovered(cycle)
        tau = tile[kept] // run.reductions
        point = (tau, pixel[kept], np.full(len(tau), lane), difference[kept])
        changes.setdefault(run.index, _Changes()).sums.append(point)

    def _weight(
        self,
        col: int,
        address: int,
        difference: int,
        cycle: int,
        current: DescriptorTimeline,
        changes: dict[int, _Changes],
    ) -> None:
        for run in self.schedule.runs[current.index :]:
            cycles, words = run.weight_reads
            tile, row = divmod(address - run.descriptor.weight_base, self.config.rows)
            if not 0 <= tile < len(words) or cycles[tile] + row < cycle:
                continue
            if run.maximum:
                raise _NotCovered(cycle)
            values = self.values(run)
            tiles = [n for n in range(len(run.start)) if run.weight_tile(n) == tile]
            add = values.activations[tiles, :, row].astype(np.int64).sum(0) * difference
            tau = np.full(run.pixels, tiles[0] // run.reductions)
            points = (tau, np.arange(run.pixels), np.full(run.pixels, col), add)
            changes.setdefault(run.index, _Changes()).sums.append(points)

    def _parameter(
        self,
        memory: str,
        address: int,
        faulty: int,
        cycle: int,
        current: DescriptorTimeline,
        changes: dict[int, _Changes],
    ) -> None:
        for run in self.schedule.runs[current.index :]:
            tau, col = divmod(address - run.descriptor.param_base, self.config.cols)
            if not 0 <= tau < run.tiles:
                continue
            if run.finish[tau] + run.timing.parameters + col < cycle:
                continue
            if run.maximum:
                raise _NotCovered(cycle)
            change = changes.setdefault(run.index, _Changes())
            change.parameters.append((tau, col, memory, faulty))

    def _activations(
        self,
        bank: int,
        lane: int,
        words: Ints,
        codes: tuple[Ints, Ints],
        cycle: int,
        current: DescriptorTimeline,
        changes: dict[int, _Changes],
        tensors: dict[str, list[tuple[Ints, Ints]]],
    ) -> None:
        golden, faulty = codes
        step = current.step
        for run in self.schedule.runs[current.index :]:
            if run.step is not step or not len(words):
                break
            # Nothing reads a wrong code once it is written again.
            end = np.full(len(words), -1)
            if bank == run.descriptor.output_bank:
                end = run.write_cycles(words, lane)
                end[end < cycle] = -1
            last = np.where(end < 0, self.schedule.cycles, end)
            if bank == run.descriptor.input_bank:
                which, tile, pixel = run.input_reads(words)
                moment = run.start[tile] + pixel
                hit = (moment >= cycle) & (moment <= last[which])
                hit &= run.inputs[2][tile] == lane // self.config.rows
                if hit.any():
                    if run.maximum:
                        raise _NotCovered(cycle)
                    which = which[hit]
                    read = golden[which], faulty[which]
                    self._reads(run, tile[hit], pixel[hit], lane, read, changes)
            if run.has_residual and bank == run.descriptor.residual_bank:
                point = run.residual_reads(words, lane)
                tau, pixel, _ = np.unravel_index(
                    np.maximum(point, 0), (run.tiles, run.pixels, self.config.cols)
                )
                moment = run.finish[tau] + pixel + run.timing.residual
                hit = (point >= 0) & (moment >= cycle) & (moment <= last)
                if hit.any():
                    change = changes.setdefault(run.index, _Changes())
                    change.residuals.append((point[hit], faulty[hit]))
            left = end < 0
            words, golden, faulty = words[left], golden[left], faulty[left]
        for name in (*live_after(self.program, step), step.target):
            held = self.program.places[name]
            inside = (words >= held.base) & (words < held.base + held.size)
            if held.bank == bank and inside.any():
                index = self._indices(name, words[inside], lane)
                used = index >= 0
                if self.guard.input and not used.all():
                    # A lane without a channel is counted where it is read.
                    raise _NotCovered(cycle)
                if used.any():
                    tensors.setdefault(name, []).append((index[used], faulty[inside][used]))

    def _reads(
        self,
        run: DescriptorTimeline,
        tile: Ints,
        pixel: Ints,
        lane: int,
        codes: tuple[Ints, Ints],
        changes: dict[int, _Changes],
    ) -> None:
        values = self.values(run)
        (before, old), (after, new) = (values.admit(part) for part in codes)
        change = changes.setdefault(run.index, _Changes())
        change.counts += int((new - old).sum())
        difference = after - before
        if not difference.any():
            return
        loaded = tile // run.reductions if run.hold else tile
        row = lane % self.config.rows
        add = values.weights[loaded, row].astype(np.int64) * difference[:, None]
        cols = np.arange(self.config.cols)
        tau = tile // run.reductions
        change.sums.append((tau[:, None], pixel[:, None], cols[None, :], add))

    def _indices(self, name: str, words: Ints, lane: int) -> Ints:
        """Flat index [C, H, W] of a lane of words, or -1 if it holds no channel."""
        place = self.program.places[name]
        if name == self.program.graph.nodes[0].name and self.program.packed > 1:
            # Packed copies of a pixel are read by the first layer alone.
            return np.full(len(words), -1)
        pixel, word = np.divmod(words - place.base, place.words)
        channel = self._lanes[name][word * self.config.word_lanes + lane]
        return np.where(channel < 0, -1, channel * place.height * place.width + pixel)

    def _evaluate(
        self,
        run: DescriptorTimeline,
        change: _Changes,
        target: list[tuple[Ints, Ints]],
        effect: Effect,
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
            self._place(run, [axis[hit] for axis in points], codes[hit], target)
        return int(bad.sum() - before[unique].sum())

    def _wrong_sums(
        self, run: DescriptorTimeline, change: _Changes, points: tuple[Ints, ...], total: Ints
    ) -> SumChange | None:
        """What a change makes of the run's sums; None if that does not say everything."""
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

    def _spots(self, run: DescriptorTimeline, points: Sequence[Ints]) -> tuple[Ints, Ints]:
        """Channel (-1: none) and pixel of the target where a run's points are stored."""
        place = self.program.places[run.step.target]
        words, lanes = run.outputs
        tau, pixel, col = points
        spot, word = np.divmod(words[tau, pixel, col] - place.base, place.words)
        within = word * self.config.word_lanes + lanes[tau, col]
        return self._lanes[run.step.target][within], spot

    @cached_property
    def _parameters(self) -> Parameters:
        cfg = self.config
        slots = self.program.chunks[0].parameters.astype(np.int64)
        return Parameters(cfg.acc_bits, cfg.multiplier_bits, cfg.guard_bits, slots)

    def _after(self, step: Step) -> NDArray[np.int8]:
        if step.name not in self._stored:
            first = next(run for run in self.schedule.runs if run.step is step)
            banks = self.values(first).banks.copy()
            store(self.program, step, self._golden, banks)
            self._stored[step.name] = banks
        return self._stored[step.name]

    def _golden_codes(self, run: DescriptorTimeline) -> tuple[Ints, Ints]:
        if run.index not in self._codes:
            values = self.values(run)
            points = tuple(axis.ravel() for axis in np.indices(values.sums.shape))
            self._codes[run.index] = values.codes(points, values.sums.ravel())
        return self._codes[run.index]

    def _place(
        self,
        run: DescriptorTimeline,
        points: Sequence[Ints],
        codes: Ints,
        target: list[tuple[Ints, Ints]],
    ) -> None:
        place = self.program.places[run.step.target]
        channel, spot = self._spots(run, points)
        if self.guard.input and (channel < 0).any():
            raise _NotCovered(run.fetch)
        index = channel * place.height * place.width + spot
        used = channel >= 0
        if used.any():
            target.append((index[used], codes[used]))


def _joined(parts: Sequence[tuple[Ints, Ints]]) -> tuple[Ints, NDArray[np.int8]]:
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
