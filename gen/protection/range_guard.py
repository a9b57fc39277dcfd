"""The range check."""

from amaranth.hdl import Cat, Module, Mux, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


def less(a: Value, b: Value) -> Value:
    """Returns ``a < b`` of two signed values of one width, as the carry of an unsigned comparison.

    The sign bits change places, which spares the logic that a signed comparison has behind it.
    """
    return Cat(a[:-1], b[-1]) < Cat(b[:-1], a[-1])


def fixed_bound(act_bits: int) -> int:
    """Returns what a guard without learnt bounds allows: differences from the zero point from the
    negative of this up to this less 1. It is two ranges of the codes; what requantization leaves is
    far inside, or the clamp would have cut half of it off.
    """
    return 2 << act_bits


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
    check
        0 passes the value unchanged.
    override
        The result is ``above``, whatever the value; only while nothing is checked.
    result, violation
        The value to use, and whether it was out of range.

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
                "check": In(1),
                "override": In(1),
                "result": Out(shape),
                "violation": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        smaller = self.check & less(self.value, self.lo)
        larger = self.check & less(self.hi, self.value)
        # Three inputs and two selects: no wider than two four-input tables per bit.
        other = Mux(smaller, self.below, self.above)
        m.d.comb += [
            self.violation.eq(smaller | larger),
            self.result.eq(Mux(smaller | larger | self.override, other, self.value)),
        ]
        return m
