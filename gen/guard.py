"""The range check."""

from amaranth.hdl import Module, Mux, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RangeGuard"]


class RangeGuard(wiring.Component):
    """Replaces a value outside its bounds. Combinational.

    Parameters
    ----------
    width : int
        Signed width of value and bounds.

    Members
    -------
    value, lo, hi
        In range while ``lo <= value <= hi``.
    enable
        0 passes the value unchanged.
    use_zero, zero
        Replace by ``zero`` instead of the nearer bound.
    result, violation
        The value to use, and whether it was replaced.

    Source
    ------
    Range-restricted inference of the DeepXcel study (ISQED 2024): out-of-range values take the
    respective bound.
    """

    def __init__(self, width: int):
        shape = signed(width)
        super().__init__(
            {
                "value": In(shape),
                "lo": In(shape),
                "hi": In(shape),
                "zero": In(shape),
                "enable": In(1),
                "use_zero": In(1),
                "result": Out(shape),
                "violation": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        below = self.value < self.lo
        above = self.value > self.hi
        m.d.comb += [
            self.violation.eq(self.enable & (below | above)),
            self.result.eq(self.value),
        ]
        with m.If(self.violation):
            m.d.comb += self.result.eq(Mux(self.use_zero, self.zero, Mux(below, self.lo, self.hi)))
        return m
