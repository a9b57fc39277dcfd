"""Computes analytically what an upset of a register of the array or of an accumulator does.

    analysis = RegisterFaultAnalysis(layers, netlist.held)
    effect = analysis.effect(name, bit, cycle)       # None: not covered, RTL has to decide

Every one of these registers holds, in every cycle, a value of one pixel, or of one weight, that the
schedule names; the upset adds a known difference to the sums that it enters:

====================  =============================================================================
activation, skew      the pixel's product in every column that the value has yet to reach
product, partial sum  its difference, as far as the sums below are wide, to the pixel's sum
weight                its difference times the activations of the pixels still to come in its tile
shadow, weight row    the same for all pixels of the tiles whose swap takes it
accumulator           a power of two, to the pixel's sum
====================  =============================================================================

In cycles in which no pixel is there, nothing takes the value. A test compares all bits in all
cycles of layers on small arrays with the RTL.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from holdfast.fault.model.fault import Fault
from holdfast.gen.dataflow.array import SystolicArray
from holdfast.gen.dataflow.weight_stationary import StationaryLatencies
from holdfast.gen.roles import Held, Role
from holdfast.sim.machine.layer_values import signed
from holdfast.sim.machine.timeline import DescriptorTimeline as Timeline

from .effect import Effect, Ints
from .layer_outputs import Changes, LayerOutputs, Points
from .resolver import Decision

_LATE = StationaryLatencies
_ACCUMULATORS = {
    Role.ACCUMULATOR_READ: (_LATE.stage_b, True, False),
    Role.ACCUMULATOR_FETCHED: (_LATE.stage_c, True, False),
    Role.ACCUMULATOR_STORED: (_LATE.stage_d, True, False),
    Role.ACCUMULATOR_ADDEND: (_LATE.stage_d, False, True),
    Role.ACCUMULATOR_TOTAL: (_LATE.total, True, True),
}
"""Cycles from the read address, and whether the sum before the tile and the tile's own are held."""


class _Struck(NamedTuple):
    """Differences that tiles of a run add to sums: arrays of one common shape."""

    run: Timeline
    tile: Ints
    pixel: Ints
    col: Ints
    difference: Ints


class RegisterFaultAnalysis:
    """Decides upsets of registers from the golden values of one image.

    Parameters
    ----------
    held : Mapping
        What registers are for, by name.
    points : Callable
        What differences of sums do; by default `LayerOutputs.effects`.
    """

    def __init__(
        self, layers: LayerOutputs, held: Mapping[str, Held], points: Points | None = None
    ):
        self._layers, self._held = layers, held
        self._config = layers.config
        self._points = points
        self._forms: dict[Role, Callable[[Timeline, Held, int, int], _Struck | Effect | None]] = {
            Role.PE_ACTIVATION: self._activation,
            Role.ARRAY_SKEW: self._activation,
            Role.INPUT_VECTOR: self._activation,
            Role.INPUT_WORD: self._activation,
            Role.PE_PRODUCT: self._column_sum,
            Role.PE_PARTIAL_SUM: self._column_sum,
            Role.PE_WEIGHT: self._weight,
            Role.PE_SHADOW: self._loaded_weight,
            Role.WEIGHT_ROW: self._loaded_weight,
            **dict.fromkeys(_ACCUMULATORS, self._accumulator),
        }

    def resolve(self, fault: Fault) -> Decision | None:
        """Decides one inverted bit."""
        return self.resolve_all([fault])[0]

    def resolve_all(self, faults: Sequence[Fault]) -> list[Decision | None]:
        """Decides inverted bits, those of one run together."""
        effects: list[Effect | None] = [None] * len(faults)
        struck: dict[int, list[tuple[int, _Struck]]] = {}
        for number, fault in enumerate(faults):
            if fault.single:
                name, _, bit = fault.site
                found = self._found(name, bit, fault.cycle)
                if isinstance(found, _Struck):
                    struck.setdefault(found.run.index, []).append((number, found))
                else:
                    effects[number] = found
        for parts in struck.values():
            made = self._made([found for _, found in parts])
            for (number, _), effect in zip(parts, made, strict=True):
                effects[number] = effect
        return [
            Decision("closed", effect, counts=effect.counts)
            if effect is not None and effect.rtl is None
            else None
            for effect in effects
        ]

    def effect(self, name: str, bit: int, cycle: int) -> Effect | None:
        """Returns the effect of one inverted bit, or None where there is no closed form."""
        found = self._found(name, bit, cycle)
        return self._made([found])[0] if isinstance(found, _Struck) else found

    def _found(self, name: str, bit: int, cycle: int) -> _Struck | Effect | None:
        held = self._held[name]
        if held.role not in self._forms:
            return None
        run = self._layers.schedule.at(cycle)
        return None if run.maximum else self._forms[held.role](run, held, bit, cycle)

    def _made(self, struck: Sequence[_Struck]) -> list[Effect]:
        """What differences of one run's sums do, each alone."""
        if self._points is not None:
            return [self._points(*found) for found in struck]
        run = struck[0].run
        changes = [
            Changes(sums=[(tile // run.reductions, pixel, col, difference)])
            for _, tile, pixel, col, difference in struck
        ]
        return self._layers.effects(run, changes)

    @staticmethod
    def _pixel(run: Timeline, moment: int) -> tuple[int, int] | None:
        """Returns the tile and pixel whose token the feeder holds in a cycle."""
        tile = int(np.searchsorted(run.start, moment, side="right")) - 1
        if tile < 0 or moment - int(run.start[tile]) >= run.pixels:
            return None
        return tile, moment - int(run.start[tile])

    def _activation(
        self, run: Timeline, held: Held, bit: int, cycle: int
    ) -> _Struck | Effect | None:
        """An activation of a row, wrong for all columns that it has yet to reach."""
        late = first = 0
        if held.role in (Role.INPUT_VECTOR, Role.INPUT_WORD):
            row, bit = divmod(bit, self._config.act_bits)
        else:
            row = int(held.place["row"])
        if held.role is Role.PE_ACTIVATION:
            first = int(held.place["col"]) + 1
            late = _LATE.product + row + first - 1
        elif held.role is Role.ARRAY_SKEW:
            late = 1 + int(held.place["stage"])
        elif held.role is Role.INPUT_WORD:
            late = -1
            if self._layers.guard.input:
                return None
        found = self._pixel(run, cycle - run.timing.enter - late)
        cols = np.arange(first, self._config.cols)
        if found is None or not len(cols):
            return Effect()
        tile, pixel = found
        if held.role is Role.INPUT_WORD and run.inputs[1][tile % run.reductions, pixel]:
            # Padding takes its place.
            return Effect()
        values = self._layers.values(run)
        golden = int(values.activations[tile, pixel, row])
        difference = signed(golden ^ 1 << bit, self._config.act_bits) - golden
        add = values.weights[run.weight_tile(tile), row, first:].astype(np.int64) * difference
        return _Struck(run, np.array(tile), np.array(pixel), cols, add)

    def _products(self, run: Timeline, tile: int, pixel: int, col: int) -> np.ndarray:
        values = self._layers.values(run)
        weights = values.weights[run.weight_tile(tile), :, col].astype(np.int64)
        return values.activations[tile, pixel] * weights

    @staticmethod
    def _point(run: Timeline, tile: int, pixel: int, col: int, difference: int) -> _Struck:
        return _Struck(run, *(np.array([value]) for value in (tile, pixel, col, difference)))

    def _column_sum(self, run: Timeline, held: Held, bit: int, cycle: int) -> _Struck | Effect:
        """A product or partial sum, wrong; what the rows below have no room for is lost."""
        row, col = int(held.place["row"]), int(held.place["col"])
        product = held.role is Role.PE_PRODUCT
        late = _LATE.product if product else _LATE.partial_sum
        found = self._pixel(run, cycle - run.timing.enter - late - row - col)
        if found is None:
            return Effect()
        products = self._products(run, *found, col)
        if product:
            width = self._config.act_bits + self._config.weight_bits
            total = int(products[:row].sum()) + signed(int(products[row]) ^ 1 << bit, width)
        else:
            total = int(products[: row + 1].sum()) ^ 1 << bit
        for below in range(row, self._config.rows):
            total += int(products[below]) * (below > row)
            total = signed(total, SystolicArray.sum_bits(self._config, below))
        return self._point(run, *found, col, total - int(products.sum()))

    def _weight(self, run: Timeline, held: Held, bit: int, cycle: int) -> _Struck | Effect | None:
        """An active weight, wrong for the rest of its tile."""
        row, col = int(held.place["row"]), int(held.place["col"])
        found = self._pixel(run, cycle - run.timing.enter - row - col)
        if found is None:
            return Effect()
        tile, first = found
        return self._wrong_weight(run, [tile], first, row, col, run.weight_tile(tile), bit)

    def _loaded_weight(
        self, run: Timeline, held: Held, bit: int, cycle: int
    ) -> _Struck | Effect | None:
        """A weight on its way to a PE, wrong for the tiles whose swap takes it."""
        reads = run.weight_reads[0] + _LATE.load
        begin = cycle
        if held.role is Role.WEIGHT_ROW:
            col, bit = divmod(bit, self._config.weight_bits)
            loaded = int(np.searchsorted(reads, cycle, side="right")) - 1
            row = cycle - int(reads[loaded])
            begin += 1
        else:
            row, col = int(held.place["row"]), int(held.place["col"])
            loaded = int(np.searchsorted(reads + row, cycle)) - 1
        if loaded < 0 or row >= self._config.rows:
            return Effect()
        end = int(reads[loaded + 1]) + row + 1 if loaded + 1 < len(reads) else run.end
        swaps = run.start + _LATE.swap + row + col
        tiles = range(*np.searchsorted(swaps, (begin, end)).tolist())
        return self._wrong_weight(run, tiles, 0, row, col, loaded, bit)

    def _wrong_weight(
        self,
        run: Timeline,
        tiles: Iterable[int],
        first: int,
        row: int,
        col: int,
        loaded: int,
        bit: int,
    ) -> _Struck | Effect | None:
        """A loaded weight, wrong for some tiles from a pixel on."""
        tiles = np.array(tiles, np.int64)
        if not len(tiles):
            return Effect()
        if not self._layers.meets_codes(run, loaded, row):
            return None
        values = self._layers.values(run)
        golden = int(values.weights[loaded, row, col])
        difference = signed(golden ^ 1 << bit, self._config.weight_bits) - golden
        add = values.activations[tiles, first:, row].astype(np.int64) * difference
        pixels = np.arange(first, run.pixels)
        return _Struck(run, tiles[:, None], pixels, np.array(col), add)

    def _accumulator(
        self, run: Timeline, held: Held, bit: int, cycle: int
    ) -> _Struck | Effect | None:
        """A bit of what has been accumulated, or of what is added to it."""
        lane, role = int(held.place["lane"]), held.role
        if run.chained and role is Role.ACCUMULATOR_TOTAL:
            # The sum stays in this register from tile to tile.
            return None
        late, before, own = _ACCUMULATORS[role]
        found = self._pixel(run, cycle - run.timing.accumulate - late - lane)
        if found is None:
            return Effect()
        tile, pixel = found
        reduction = tile % run.reductions
        if role in (Role.ACCUMULATOR_READ, Role.ACCUMULATOR_FETCHED):
            unused = run.chained or not reduction
        else:
            unused = role is Role.ACCUMULATOR_STORED and run.chained and bool(reduction)
        if unused:
            return Effect()
        tiles = range(tile - reduction if before else tile, tile + own)
        value = sum(int(self._products(run, each, pixel, lane).sum()) for each in tiles)
        difference = -(1 << bit) if value >> bit & 1 else 1 << bit
        return self._point(run, tile, pixel, lane, difference)
