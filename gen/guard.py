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
    below, above
        What replaces a smaller value, and a larger one.
    enable
        0 passes the value unchanged.
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
                "below": In(shape),
                "above": In(shape),
                "enable": In(1),
                "result": Out(shape),
                "violation": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        smaller = self.enable & (self.value < self.lo)
        larger = self.enable & (self.value > self.hi)
        m.d.comb += [
            self.violation.eq(smaller | larger),
            self.result.eq(Mux(smaller, self.below, Mux(larger, self.above, self.value))),
        ]
        return m
