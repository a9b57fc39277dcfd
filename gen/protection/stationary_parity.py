"""Parity of the weights that the array holds."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.weight_stationary import WeightStationary
from holdfast.gen.datapath import Datapath
from holdfast.gen.layout import Status
from holdfast.gen.roles import Kind, Role

from .base import Check
from .weight_parity import WeightParity


class RowParity(wiring.Component):
    """Sums the parity of a row's active weights from left to right, beside their activations.

    Weights become active from left to right too, one column a cycle, so that what arrives at the
    right edge is of one tile in every cycle.

    Members
    -------
    parities
        Of the active weight in each column.
    check, load
        Parity of the row of weights that is stored into the shadow registers.
    swap
        As at the right edge's processing element, when its weight becomes active.
    mismatch
        One cycle after the sum has arrived.

    Protection
    ----------
    One wrong bit of a weight, its shadow included once it is active, or of what it was loaded with;
    at most ``cols`` + 1 cycles after. It is blind to two wrong bits in a row, and to a shadow that
    is not loaded or a swap that the whole row misses.
    """

    STATE = {r"\w+": Kind(Role.CHECK)}

    def __init__(self, config: AcceleratorConfig):
        self._cols = config.cols
        super().__init__(
            {
                "parities": In(config.cols),
                "check": In(1),
                "load": In(1),
                "swap": In(1),
                "mismatch": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shadow = Signal()
        active = Signal()
        total: Value = self.parities[0]
        for col in range(1, self._cols):
            before = Signal(name=f"sum_{col}")
            m.d.sync += before.eq(total)
            total = before ^ self.parities[col]
        with m.If(self.load):
            m.d.sync += shadow.eq(self.check)
        with m.If(self.swap):
            m.d.sync += active.eq(shadow)
        m.d.sync += self.mismatch.eq(total != active)
        return m


class StationaryParity(Check):
    """Ends a run in which a weight of the array changed."""

    name = "stationary_parity"
    stops = Status.STATIONARY_CHECK
    sees = frozenset({Role.PE_WEIGHT, Role.PE_SHADOW, Role.WEIGHT_ROW})
    takes = {WeightParity.name: "parity bits"}
    dataflow = WeightStationary.name

    def watch(self, m: Module, parts: Datapath) -> Value:
        array, loader = parts.dataflow.units["array"], parts.dataflow.units["weight_loader"]
        mismatches = []
        assert parts.weight_check is not None, "weight_parity comes first"
        for index, row in enumerate(array.pes):
            checker = RowParity(self.config)
            m.submodules[f"row_parity_{index}"] = checker
            m.d.comb += [
                checker.check.eq(parts.weight_check.xor()),
                checker.load.eq(loader.load[index]),
                checker.swap.eq(row[-1].swap_in),
            ]
            m.d.comb += [checker.parities[col].eq(pe.weight.xor()) for col, pe in enumerate(row)]
            mismatches.append(checker.mismatch)
        return Cat(mismatches).any()
