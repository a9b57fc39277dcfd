"""Computes analytically how corrupted memory words affect the layer being executed.

    analysis = MemoryFaultAnalysis(layers, netlist.held)
    effect = analysis.effect(cycle, words)

All registers are golden in ``cycle``, and some memory words are not. From then on a word only
matters where the schedule reads it before it is written:

- a partial sum is carried to its pixel's total, to which it adds its difference;
- an activation adds its difference times the weights to the sums of every later read;
- a residual code or a channel parameter enters the requantization of its pixels;
- a weight adds its difference times the activations to every pixel of its column and tile.

`LayerOutputs` makes output codes of them, exactly. Words that a later layer reads stay for the
golden model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from holdfast.fault.injection.trace import Differences
from holdfast.fault.model.checked import checked_roles
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.purpose import holds_constants
from holdfast.fault.model.space import check_row, weight_word
from holdfast.gen.layout import DESCRIPTOR_STRIDE
from holdfast.gen.roles import Held, Role
from holdfast.nn.graph.graph import ConcatNode
from holdfast.sim.machine.banks import stored_after
from holdfast.sim.machine.layer_values import signed, wrap
from holdfast.sim.machine.timeline import DescriptorTimeline as Timeline

from .effect import Effect, Ints
from .golden_words import GoldenWords
from .last_reads import LastReads
from .layer_outputs import Changes, LayerOutputs, Outputs, joined
from .resolver import Decision, Later


class _NotCoveredError(Exception):
    """The analysis does not cover what happens in a cycle."""

    def __init__(self, cycle: int):
        self.cycle = cycle


@dataclass
class _Search:
    """Holds what has been found of the words that differ in a cycle, while a descriptor runs."""

    cycle: int
    run: Timeline
    changed: dict[int, Changes] = field(default_factory=dict)
    tensors: dict[str, list[tuple[Ints, NDArray]]] = field(default_factory=dict)
    outputs: dict[int, Outputs] = field(default_factory=dict)

    def changes(self, run: Timeline) -> Changes:
        """Returns what has been found of a descriptor's points."""
        return self.changed.setdefault(run.index, Changes())


class MemoryFaultAnalysis:
    """Decides what differing memory words do to one image's inference.

    Parameters
    ----------
    held : Mapping
        What registers and memories are for, by name.
    """

    def __init__(self, layers: LayerOutputs, held: Mapping[str, Held]):
        self.layers, self._held = layers, held
        self._program, self._schedule, self._config = layers.program, layers.schedule, layers.config
        self.golden_words = GoldenWords(layers, held)
        self._last_reads = LastReads(self._config, self._schedule)
        self._checked = checked_roles(self._config)

    def resolve(self, fault: Fault) -> Decision | Later | None:
        """Decides bits of one memory word that are inverted together."""
        return self.resolve_all([fault])[0]

    def resolve_all(self, faults: Sequence[Fault]) -> list[Decision | Later | None]:
        """Decides bits of memory words; what they change in one run is computed together."""
        effects: list[_Search | Effect | None] = [self._one_word(fault) for fault in faults]
        waiting: dict[int, list[tuple[_Search, Changes]]] = {}
        for search in effects:
            if isinstance(search, _Search):
                for index, change in search.changed.items():
                    waiting.setdefault(index, []).append((search, change))
        for index, parts in waiting.items():
            run = self._schedule.runs[index]
            found = self.layers.evaluate(run, [change for _, change in parts])
            for (search, _), outputs in zip(parts, found, strict=True):
                search.outputs[index] = outputs
        return [
            self._decision(fault, self._made(effect) if isinstance(effect, _Search) else effect)
            for fault, effect in zip(faults, effects, strict=True)
        ]

    def _one_word(self, fault: Fault) -> _Search | Effect | None:
        """What is found of a fault's word; None: it is no such fault, or cannot be said."""
        name, address, _ = fault.site
        if address is None or not fault.inverts:
            return None
        if any((site.signal, site.address) != (name, address) for site in fault.bits):
            return None
        if self._last_reads.before(self._held[name], address, fault.cycle):
            return Effect()
        golden = self.golden_words.at(name, address, fault.cycle)
        if golden is None:
            return None
        faulty = golden
        for site in fault.bits:
            faulty ^= 1 << site.bit
        word, before, after = (np.array([value]) for value in (address, golden, faulty))
        return self._searched(fault.cycle, [Differences(name, word, before, after)])

    def _decision(self, fault: Fault, effect: Effect | None) -> Decision | Later | None:
        if effect is None:
            return None
        if effect.rtl is not None:
            # Nothing but the word differs until it is read.
            return Later(effect.rtl)
        name, address, _ = fault.site
        assert address is not None
        latent = holds_constants(self._program, self._held[name], address)
        if effect.step is not None:
            return Decision("closed", effect, latent, effect.counts)
        written = self.golden_words.overwritten(name, address, fault.cycle)
        died = "overwritten" if written else "never_read"
        return Decision("unread", effect, latent, effect.counts, died=died)

    def effect(self, cycle: int, memories: Sequence[Differences]) -> Effect:
        """Returns what words that differ in a cycle do, all registers being golden.

        Returns
        -------
        Effect
            With ``rtl`` set if the closed form does not cover it.
        """
        search = self._searched(cycle, memories)
        if isinstance(search, Effect):
            return search
        for index, change in search.changed.items():
            (search.outputs[index],) = self.layers.evaluate(self._schedule.runs[index], [change])
        return self._made(search)

    def _searched(self, cycle: int, memories: Sequence[Differences]) -> _Search | Effect:
        """Where words that differ are read before they are written."""
        current = self._schedule.at(cycle)
        if current.index and cycle < current.start[0]:
            # The layer before has ended, this one has read nothing: what differs is that one's.
            current = self._schedule.runs[current.index - 1]
        search = _Search(cycle, current)
        try:
            for differences in memories:
                self._memory(differences, search)
            steps = {self._schedule.runs[index].step.name for index in search.changed}
            if search.tensors:
                steps.add(current.step.name)
            if len(steps) > 1:
                raise _NotCoveredError(cycle)
        except _NotCoveredError as where:
            return Effect(rtl=where.cycle)
        return search if steps else Effect()

    def _made(self, search: _Search) -> Effect:
        """The effect of what was found, once its runs have been computed."""
        step = self._schedule.runs[next(iter(search.changed), search.run.index)].step
        effect = Effect(step, sums=[] if self.layers.keeps_sums and not search.tensors else None)
        target = search.tensors.setdefault(step.target, [])
        for index, change in search.changed.items():
            outputs = search.outputs[index]
            if not outputs.covered:
                return Effect(rtl=search.cycle)
            if outputs.target:
                target.append(outputs.target)
            if effect.sums is not None:
                effect.sums = None if outputs.sums is None else [*effect.sums, *outputs.sums]
            effect.counts += change.counts + outputs.counts
            effect.summed |= bool(change.sums or change.residuals or change.parameters)
        if isinstance(self._program.graph[step.target], ConcatNode):
            # Steps that follow may still read its other parts.
            steps = (other for other in self._program.steps if other.target == step.target)
            parts = {name for other in steps for name in other.reads}
            if target or parts & search.tensors.keys():
                return Effect(rtl=search.cycle)
        effect.tensors |= {name: joined(parts) for name, parts in search.tensors.items() if parts}
        return effect

    def _memory(self, differences: Differences, search: _Search) -> None:
        name, words, golden, faulty = differences
        role, place = self._held[name].role, self._held[name].place
        if role is Role.ACTIVATION_WORDS:
            bits = self._config.act_bits
            codes = wrap(golden, bits), wrap(faulty, bits)
            bank, lane = int(place["bank"]), int(place["lane"])
            self._activations(bank, lane, words, codes, search)
        elif role is Role.ACCUMULATOR_WORDS:
            self._accumulator(int(place["lane"]), words, faulty - golden, search)
        else:
            for word, old, new in zip(*(a.tolist() for a in differences[1:]), strict=True):
                self._constant(name, word, old, new, search)

    def _constant(self, name: str, address: int, golden: int, faulty: int, search: _Search) -> None:
        """A word that the host wrote before the run."""
        held = self._held[name]
        if weights := weight_word(self._config, held, address):
            bits = self._config.weight_bits
            difference = signed(faulty, bits) - signed(golden, bits)
            self._weight(*weights, difference, search)
        elif (row := check_row(self._config, held, address)) is not None:
            self._weight(0, row, 0, search)
        elif held.role is Role.PARAMETER_WORDS:
            self._parameter(str(held.place["field"]), address, faulty, search)
        elif held.role is Role.PROGRAM_WORDS:
            number, part = divmod(address, DESCRIPTOR_STRIDE)
            for run in self._schedule.runs:
                if run.index == number and run.fetch + part >= search.cycle:
                    raise _NotCoveredError(run.fetch + part)
        else:
            raise _NotCoveredError(search.cycle)

    def _accumulator(self, lane: int, pixel: Ints, difference: Ints, search: _Search) -> None:
        run = search.run
        if run.chained:
            # A single pixel's sum stays in the register.
            return
        offset = pixel + run.timing.accumulate + lane
        tile = np.searchsorted(run.start, search.cycle - offset)
        before = run.start[np.maximum(tile, 1) - 1] + offset
        # A sum begins anew with its first reduction; the pass before may have yet to write.
        kept = (pixel < run.pixels) & (tile < len(run.start)) & (tile % run.reductions != 0)
        kept &= before + run.timing.total < search.cycle
        if not kept.any():
            return
        if run.maximum:
            raise _NotCoveredError(search.cycle)
        tau = tile[kept] // run.reductions
        point = (tau, pixel[kept], np.full(len(tau), lane), difference[kept])
        search.changes(run).sums.append(point)

    def _weight(self, col: int, address: int, difference: int, search: _Search) -> None:
        for run in self._schedule.runs[search.run.index :]:
            cycles, words = run.weight_reads
            tile, row = divmod(address - run.descriptor.weight_base, self._config.rows)
            if not 0 <= tile < len(words) or cycles[tile] + row < search.cycle:
                continue
            if Role.WEIGHT_WORDS in self._checked:
                raise _NotCoveredError(int(cycles[tile]) + row)
            if run.maximum:
                raise _NotCoveredError(search.cycle)
            if not self.layers.meets_codes(run, tile, row):
                raise _NotCoveredError(int(cycles[tile]) + row)
            values = self.layers.values(run)
            tiles = range(*np.searchsorted(run.weight_tiles, (tile, tile + 1)).tolist())
            part = values.activations[tiles.start : tiles.stop, :, row]
            add = part.sum(0, dtype=np.int64) * difference
            tau = np.full(run.pixels, tiles.start // run.reductions)
            points = (tau, np.arange(run.pixels), np.full(run.pixels, col), add)
            search.changes(run).sums.append(points)

    def _parameter(self, memory: str, address: int, faulty: int, search: _Search) -> None:
        for run in self._schedule.runs[search.run.index :]:
            tau, col = divmod(address - run.descriptor.param_base, self._config.cols)
            if not 0 <= tau < run.tiles:
                continue
            moment = int(run.finish[tau]) + run.timing.parameters + col
            if moment < search.cycle:
                continue
            if Role.PARAMETER_WORDS in self._checked:
                raise _NotCoveredError(moment)
            if run.maximum:
                raise _NotCoveredError(search.cycle)
            change = search.changes(run)
            change.parameters.append((tau, col, memory, faulty))

    def _activations(
        self, bank: int, lane: int, words: Ints, codes: tuple[Ints, Ints], search: _Search
    ) -> None:
        golden, faulty = codes
        step = search.run.step
        for run in self._schedule.runs[search.run.index :]:
            if run.step is not step or not len(words):
                break
            # Nothing reads a wrong code once it is written again.
            end = np.full(len(words), -1)
            if bank == run.descriptor.output_bank:
                end = run.write_cycles(words, lane)
                end[end < search.cycle] = -1
            last = np.where(end < 0, self._schedule.cycles, end)
            if bank == run.descriptor.input_bank:
                which, tile, pixel = run.input_reads(words)
                moment = run.start[tile] + pixel
                hit = (moment >= search.cycle) & (moment <= last[which])
                hit &= run.inputs[2][tile] == lane // self._config.rows
                if hit.any():
                    if run.maximum:
                        raise _NotCoveredError(search.cycle)
                    which = which[hit]
                    read = golden[which], faulty[which]
                    self._reads(run, tile[hit], pixel[hit], lane, read, search)
            if run.has_residual and bank == run.descriptor.residual_bank:
                point = run.residual_reads(words, lane)
                tau, pixel, _ = np.unravel_index(
                    np.maximum(point, 0), (run.tiles, run.pixels, self._config.cols)
                )
                moment = run.finish[tau] + pixel + run.timing.residual
                hit = (point >= 0) & (moment >= search.cycle) & (moment <= last)
                if hit.any():
                    change = search.changes(run)
                    change.residuals.append((point[hit], faulty[hit]))
            left = end < 0
            words, golden, faulty = words[left], golden[left], faulty[left]
        for name in stored_after(self._program, step):
            held = self._program.places[name]
            inside = (words >= held.base) & (words < held.base + held.size)
            if held.bank == bank and inside.any():
                index = self._indices(name, words[inside], lane)
                used = index >= 0
                if self.layers.reads_all_lanes(name) and not used.all():
                    raise _NotCoveredError(search.cycle)
                if used.any():
                    search.tensors.setdefault(name, []).append((index[used], faulty[inside][used]))

    def _reads(
        self,
        run: Timeline,
        tile: Ints,
        pixel: Ints,
        lane: int,
        codes: tuple[Ints, Ints],
        search: _Search,
    ) -> None:
        values = self.layers.values(run)
        (before, old), (after, new) = (values.admit(part) for part in codes)
        change = search.changes(run)
        change.counts += int((new - old).sum())
        difference = after - before
        if not difference.any():
            return
        loaded = tile // run.reductions if run.hold else tile
        row = lane % self._config.rows
        add = values.weights[loaded, row].astype(np.int64) * difference[:, None]
        cols = np.arange(self._config.cols)
        tau = tile // run.reductions
        change.sums.append((tau[:, None], pixel[:, None], cols[None, :], add))

    def _indices(self, name: str, words: Ints, lane: int) -> Ints:
        """Flat index [C, H, W] of a lane of words, or -1 if it holds no channel."""
        place = self._program.places[name]
        if name == self._program.graph.nodes[0].name and self._program.packed > 1:
            # Packed copies of a pixel are read by the first layer alone.
            return np.full(len(words), -1)
        pixel, word = np.divmod(words - place.base, place.words)
        channel = self.layers.lanes[name][word * self._config.word_lanes + lane]
        return np.where(channel < 0, -1, channel * place.height * place.width + pixel)
