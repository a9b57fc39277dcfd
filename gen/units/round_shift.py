"""Rounded arithmetic right shift."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

_HARD_BITS = 17
"""Unsigned operand of a signed 18-bit hard multiplier."""


def lift_bits(multiplier_bits: int) -> int:
    """Returns the number of low-order shift bits that pre-scaling the multiplier absorbs.

    As many as still fit a hard multiplier, at most 3: so much less remains to be shifted behind it.
    """
    fitting = [n for n in (1, 2, 3) if multiplier_bits + (1 << n) - 1 <= _HARD_BITS]
    return max(fitting, default=0) if multiplier_bits else 0


def lifted_bits(multiplier_bits: int) -> int:
    """Returns the width of a multiplier after `lift`."""
    return multiplier_bits + (1 << lift_bits(multiplier_bits)) - 1


def lift(multiplier: Value, shift: Value) -> tuple[Value, Value]:
    """Returns a multiplier times ``2**(2**n - 1 - s)``, s being the shift's lowest n bits, and the
    shift's other bits; n from `lift_bits`.
    """
    bits = lift_bits(len(multiplier))
    return Cat(Const(0, (1 << bits) - 1), multiplier) >> shift[:bits], shift[bits:]


def narrow(rounding: "RoundShift", bits: int) -> Value:
    """Returns the integer part before rounding, saturated to signed ``bits``."""
    rest = rounding.whole[bits - 1 :]
    fits = ~rounding.over & (rest == rounding.sign.replicate(len(rest)))
    low = Mux(fits, rounding.whole[: bits - 1], ~rounding.sign.replicate(bits - 1))
    return Cat(low, rounding.sign).as_signed()


class RoundShift(wiring.Component):
    """Shifts right; leaves the rounding increment to be added.

    A coarse shift by a multiple of 8 comes first, the rest in the second cycle. The first keeps
    only the bits that the second can use.

    Parameters
    ----------
    width : int
        Signed width of the value.
    lifted : int
        The shift is ``2**lifted * shift + 2**lifted - 1``, as `lift` leaves it.
    largest : int
        Largest shift.
    keep : int
        Width of the integer part.
    rounding : str
        As in the configuration.

    Members
    -------
    value, shift
        Operand and amount.
    whole, increment
        Integer part, signed, and what rounding adds to it.
    over, sign
        The integer part has more than ``keep`` bits, and whether the value is negative.

    Latency
    -------
    ``LATENCY`` cycles.
    """

    LATENCY = 2

    def __init__(self, width: int, lifted: int, largest: int, keep: int, rounding: str):
        self._lifted, self._largest, self._rounding = lifted, largest, rounding
        super().__init__(
            {
                "value": In(signed(width)),
                "shift": In(max(1, largest.bit_length()) - lifted),
                "whole": Out(signed(keep)),
                "increment": Out(1),
                "over": Out(1),
                "sign": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        keep, step = len(self.whole), 1 << self._lifted
        # One bit below the point holds the first bit shifted out.
        dropped = step - 2
        extended = self.value[dropped:] if self._lifted else Cat(Const(0, 1), self.value)
        length = len(extended)
        fine_bits = 3 - self._lifted
        # The second stage shifts by at most 8 - step.
        room = min(length, keep + 1 + 8 - step)

        coarse = Signal(signed(room))
        over = Signal()
        sign = Signal()
        fine = Signal(fine_bits)
        lost = Signal()
        m.d.sync += [sign.eq(self.value[-1]), fine.eq(self.shift[:fine_bits])]
        last = self._largest // 8
        with m.Switch(self.shift[fine_bits:]):
            for index in range(last + 1):
                with m.Default() if index == last else m.Case(index):
                    part = extended[min(8 * index, length - 1) :]
                    m.d.sync += coarse.eq(part.as_signed())
                    m.d.sync += over.eq(_differ(part[room - 1 :], self.value[-1]))
                    if self._rounding == "half_even":
                        m.d.sync += lost.eq(self.value[: max(0, 8 * index + dropped)].any())

        amount = Cat(Const(0, self._lifted), fine)
        shifted = Signal(signed(room))
        m.d.comb += shifted.eq(coarse >> amount)
        beyond = [over]
        for bit in range(keep, room - 1):
            beyond.append((coarse[bit] != sign) & (amount <= bit - keep))
        m.d.sync += [
            self.whole.eq(shifted[1:].as_signed()),
            self.over.eq(Cat(beyond).any()),
            self.sign.eq(sign),
        ]
        if self._rounding == "half_up":
            m.d.sync += self.increment.eq(shifted[0])
        elif self._rounding == "half_even":
            rest = lost | (coarse & ((Const(1, 8) << amount) - 1)).any()
            m.d.sync += self.increment.eq(shifted[0] & (shifted[1] | rest))
        return m


def _differ(bits: Value, sign: Value) -> Value:
    """Tells whether any bit is not the sign."""
    return (bits != sign.replicate(len(bits))) if len(bits) else Const(0, 1)
