"""What an upset of a register of the array or of an accumulator does, in closed form.

    form = RegisterFaultAnalysis(analysis)
    effect = form.resolve(name, bit, cycle)       # None: not covered, RTL has to decide

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

from collections.abc import Callable

import numpy as np

from holdfast.gen.dataflow.array import SystolicArray
from holdfast.gen.dataflow.weight_stationary import StationaryLatencies
from holdfast.gen.roles import Role
from holdfast.sim.machine.layer_values import signed
from holdfast.sim.machine.timeline import DescriptorTimeline

from .memories import Effect, MemoryFaultAnalysis

__all__ = ["RegisterFaultAnalysis"]

_PRODUCT, _SUM = StationaryLatencies.product, StationaryLatencies.partial_sum
_LOAD, _SWAP = StationaryLatencies.load, StationaryLatencies.swap
_STAGE_B, _STAGE_C, _STAGE_D, _STAGE_E = (
    StationaryLatencies.stage_b,
    StationaryLatencies.stage_c,
    StationaryLatencies.stage_d,
    StationaryLatencies.total,
)


class RegisterFaultAnalysis:
    """Closed forms over the golden values of one image."""

    def __init__(self, analysis: MemoryFaultAnalysis):
        self._memory_faults = analysis
        self._config = analysis.config
        self._forms: dict[Role, tuple[Callable[..., Effect | None], tuple[str, ...]]] = {
            Role.PE_ACTIVATION: (self._activation, ("row", "col")),
            Role.PE_PRODUCT: (self._product, ("row", "col")),
            Role.PE_PARTIAL_SUM: (self._partial_sum, ("row", "col")),
            Role.PE_WEIGHT: (self._weight, ("row", "col")),
            Role.PE_SHADOW: (self._shadow, ("row", "col")),
            Role.ARRAY_SKEW: (self._skew, ("row", "stage")),
            Role.INPUT_VECTOR: (self._vector, ()),
            Role.INPUT_WORD: (self._word, ()),
            Role.WEIGHT_ROW: (self._row, ()),
            Role.ACCUMULATOR_READ: (self._read, ("lane",)),
            Role.ACCUMULATOR_FETCHED: (self._fetched, ("lane",)),
            Role.ACCUMULATOR_STORED: (self._stored, ("lane",)),
            Role.ACCUMULATOR_ADDEND: (self._addend, ("lane",)),
            Role.ACCUMULATOR_TOTAL: (self._total, ("lane",)),
        }

    def resolve(self, name: str, bit: int, cycle: int) -> Effect | None:
        """The effect of one inverted bit, or None where there is no closed form."""
        run = self._memory_faults.schedule.at(cycle)
        if run.maximum:
            return None
        held = self._memory_faults.held[name]
        if held.role not in self._forms:
            return None
        form, where = self._forms[held.role]
        return form(run, bit, cycle, *(int(held.place[key]) for key in where))

    @staticmethod
    def _pixel(run: DescriptorTimeline, moment: int) -> tuple[int, int] | None:
        """Tile and pixel whose token the feeder holds in a cycle."""
        tile = int(np.searchsorted(run.start, moment, side="right")) - 1
        if tile < 0 or moment - int(run.start[tile]) >= run.pixels:
            return None
        return tile, moment - int(run.start[tile])

    def _row_value(
        self, run: DescriptorTimeline, moment: int, row: int, bit: int, first: int
    ) -> Effect:
        """A value of a row, wrong for all columns from ``first`` on."""
        found = self._pixel(run, moment)
        cols = np.arange(first, self._config.cols)
        if found is None or not len(cols):
            return Effect()
        tile, pixel = found
        values = self._memory_faults.values(run)
        golden = int(values.activations[tile, pixel, row])
        difference = signed(golden ^ 1 << bit, self._config.act_bits) - golden
        add = values.weights[run.weight_tile(tile), row, first:].astype(np.int64) * difference
        return self._memory_faults.points(run, np.array(tile), np.array(pixel), cols, add)

    def _activation(
        self, run: DescriptorTimeline, bit: int, cycle: int, row: int, col: int
    ) -> Effect:
        moment = cycle - run.timing.enter - _PRODUCT - row - col
        return self._row_value(run, moment, row, bit, col + 1)

    def _skew(self, run: DescriptorTimeline, bit: int, cycle: int, row: int, stage: int) -> Effect:
        return self._row_value(run, cycle - run.timing.enter - 1 - stage, row, bit, 0)

    def _vector(self, run: DescriptorTimeline, bit: int, cycle: int) -> Effect:
        row, bit = divmod(bit, self._config.act_bits)
        return self._row_value(run, cycle - run.timing.enter, row, bit, 0)

    def _word(self, run: DescriptorTimeline, bit: int, cycle: int) -> Effect | None:
        if self._memory_faults.guard.input:
            return None
        row, bit = divmod(bit, self._config.act_bits)
        moment = cycle - run.timing.enter + 1
        found = self._pixel(run, moment)
        if found is not None and run.inputs[1][found[0] % run.reductions, found[1]]:
            # Padding takes its place.
            return Effect()
        return self._row_value(run, moment, row, bit, 0)

    def _power(
        self, run: DescriptorTimeline, tile: int, pixel: int, col: int, value: int, bit: int
    ) -> Effect:
        """A bit of a sum."""
        difference = -(1 << bit) if value >> bit & 1 else 1 << bit
        point = (np.array([value]) for value in (tile, pixel, col, difference))
        return self._memory_faults.points(run, *point)

    def _operands(
        self, run: DescriptorTimeline, tile: int, pixel: int, rows: int, col: int
    ) -> np.ndarray:
        values = self._memory_faults.values(run)
        weights = values.weights[run.weight_tile(tile), :rows, col].astype(np.int64)
        return values.activations[tile, pixel, :rows] * weights

    def _foot(
        self,
        run: DescriptorTimeline,
        tile: int,
        pixel: int,
        row: int,
        col: int,
        total: int,
        products: np.ndarray,
    ) -> Effect:
        """A partial sum of a row, wrong; what the rows below have not room for is lost."""
        for below in range(row, self._config.rows):
            total = signed(
                total + int(products[below]) * (below > row),
                SystolicArray.sum_bits(self._config, below),
            )
        difference = total - int(products.sum())
        point = (np.array([value]) for value in (tile, pixel, col, difference))
        return self._memory_faults.points(run, *point)

    def _product(self, run: DescriptorTimeline, bit: int, cycle: int, row: int, col: int) -> Effect:
        found = self._pixel(run, cycle - run.timing.enter - _PRODUCT - row - col)
        if found is None:
            return Effect()
        products = self._operands(run, *found, self._config.rows, col)
        width = self._config.act_bits + self._config.weight_bits
        faulty = signed(int(products[row]) ^ 1 << bit, width)
        return self._foot(run, *found, row, col, int(products[:row].sum()) + faulty, products)

    def _partial_sum(
        self, run: DescriptorTimeline, bit: int, cycle: int, row: int, col: int
    ) -> Effect:
        found = self._pixel(run, cycle - run.timing.enter - _SUM - row - col)
        if found is None:
            return Effect()
        products = self._operands(run, *found, self._config.rows, col)
        total = int(products[: row + 1].sum()) ^ 1 << bit
        return self._foot(run, *found, row, col, total, products)

    def _changed_weight(
        self,
        run: DescriptorTimeline,
        tiles: range,
        first: int,
        row: int,
        col: int,
        loaded: int,
        bit: int,
    ) -> Effect:
        """A loaded weight, wrong for some tiles, in the first of them from a pixel on."""
        values = self._memory_faults.values(run)
        golden = int(values.weights[loaded, row, col])
        difference = signed(golden ^ 1 << bit, self._config.weight_bits) - golden
        which, pixels, adds = [], [], []
        for tile in tiles:
            begin = first if tile == tiles[0] else 0
            add = values.activations[tile, begin:, row].astype(np.int64) * difference
            which.append(np.full(len(add), tile))
            pixels.append(np.arange(begin, run.pixels))
            adds.append(add)
        if not which:
            return Effect()
        struck, pixel, add = (np.concatenate(parts) for parts in (which, pixels, adds))
        return self._memory_faults.points(run, struck, pixel, np.full(len(struck), col), add)

    def _weight(self, run: DescriptorTimeline, bit: int, cycle: int, row: int, col: int) -> Effect:
        moment = cycle - run.timing.enter - row - col
        tile = int(np.searchsorted(run.start, moment, side="right")) - 1
        if tile < 0:
            return Effect()
        first = moment - int(run.start[tile])
        if first >= run.pixels:
            return Effect()
        loaded = run.weight_tile(tile)
        return self._changed_weight(run, range(tile, tile + 1), first, row, col, loaded, bit)

    def _swapped(self, run: DescriptorTimeline, row: int, col: int, begin: int, end: int) -> range:
        """Tiles whose swap at a PE is in cycles ``begin`` to ``end - 1``."""
        swaps = run.start + _SWAP + row + col
        return range(int(np.searchsorted(swaps, begin)), int(np.searchsorted(swaps, end)))

    def _shadow(self, run: DescriptorTimeline, bit: int, cycle: int, row: int, col: int) -> Effect:
        taken = run.weight_reads[0] + row + _LOAD
        following = int(np.searchsorted(taken, cycle))
        if following == 0:
            return Effect()
        end = int(taken[following]) + 1 if following < len(taken) else run.end
        tiles = self._swapped(run, row, col, cycle, end)
        return self._changed_weight(run, tiles, 0, row, col, following - 1, bit)

    def _row(self, run: DescriptorTimeline, bit: int, cycle: int) -> Effect:
        col, bit = divmod(bit, self._config.weight_bits)
        reads = run.weight_reads[0]
        loaded = int(np.searchsorted(reads, cycle - _LOAD, side="right")) - 1
        if loaded < 0:
            return Effect()
        row = cycle - _LOAD - int(reads[loaded])
        if row >= self._config.rows:
            return Effect()
        taken = reads + row + _LOAD
        end = int(taken[loaded + 1]) + 1 if loaded + 1 < len(taken) else run.end
        tiles = self._swapped(run, row, col, cycle + 1, end)
        return self._changed_weight(run, tiles, 0, row, col, loaded, bit)

    def _accumulated(
        self, run: DescriptorTimeline, cycle: int, lane: int, stage: int
    ) -> tuple[int, int] | None:
        return self._pixel(run, cycle - run.timing.accumulate - stage - lane)

    def _before(self, run: DescriptorTimeline, tile: int, pixel: int, lane: int) -> int:
        """What has been accumulated before a tile."""
        tiles = range(tile - tile % run.reductions, tile)
        rows = self._config.rows
        return sum(int(self._operands(run, t, pixel, rows, lane).sum()) for t in tiles)

    def _read(self, run: DescriptorTimeline, bit: int, cycle: int, lane: int) -> Effect:
        return self._fetched(run, bit, cycle + _STAGE_C - _STAGE_B, lane)

    def _fetched(self, run: DescriptorTimeline, bit: int, cycle: int, lane: int) -> Effect:
        found = self._accumulated(run, cycle, lane, _STAGE_C)
        if found is None or run.chained or found[0] % run.reductions == 0:
            return Effect()
        return self._power(run, *found, lane, self._before(run, *found, lane), bit)

    def _stored(self, run: DescriptorTimeline, bit: int, cycle: int, lane: int) -> Effect:
        found = self._accumulated(run, cycle, lane, _STAGE_D)
        if found is None or (run.chained and found[0] % run.reductions):
            return Effect()
        return self._power(run, *found, lane, self._before(run, *found, lane), bit)

    def _addend(self, run: DescriptorTimeline, bit: int, cycle: int, lane: int) -> Effect:
        found = self._accumulated(run, cycle, lane, _STAGE_D)
        if found is None:
            return Effect()
        value = int(self._operands(run, *found, self._config.rows, lane).sum())
        return self._power(run, *found, lane, value, bit)

    def _total(self, run: DescriptorTimeline, bit: int, cycle: int, lane: int) -> Effect | None:
        if run.chained:
            # The sum stays in this register from tile to tile.
            return None
        found = self._accumulated(run, cycle, lane, _STAGE_E)
        if found is None:
            return Effect()
        value = self._before(run, *found, lane)
        value += int(self._operands(run, *found, self._config.rows, lane).sum())
        return self._power(run, *found, lane, value, bit)
