"""The checksum of a serial line's frames."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

_POLYNOMIAL = 0xEDB88320
_RESIDUE = 0xDEBB20E3


class Checksum(wiring.Component):
    """CRC-32 as zlib and Ethernet have it, one bit a cycle.

    Members
    -------
    clear
        Begin anew.
    byte, feed
        The next byte.
    busy
        A byte is still being taken in.
    good
        The bytes fed since ``clear`` end in the checksum of those before, its lowest byte first.
    low
        Lowest byte of the checksum of the bytes fed so far; feeding its complement shifts the next
        one there.

    Latency
    -------
    Eight cycles from ``feed`` on.

    Back-pressure
    -------------
    None: there must be no ``feed`` while ``busy``.
    """

    def __init__(self):
        super().__init__(
            {
                "clear": In(1),
                "byte": In(8),
                "feed": In(1),
                "busy": Out(1),
                "good": Out(1),
                "low": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        state = Signal(32, init=-1)
        # Bits that are left, below a one.
        rest = Signal(9, init=1)
        odd = Signal()
        m.d.comb += [
            odd.eq(state[0] ^ rest[0]),
            self.busy.eq(rest[1:].any()),
            self.good.eq(state == _RESIDUE),
            self.low.eq(~state[:8]),
        ]
        with m.If(self.feed):
            m.d.sync += rest.eq(Cat(self.byte, Const(1, 1)))
        with m.Elif(self.busy):
            m.d.sync += rest.eq(rest >> 1)
        with m.If(self.clear):
            m.d.sync += state.eq(-1)
        with m.Elif(self.busy):
            m.d.sync += state.eq((state >> 1) ^ (odd.replicate(32) & _POLYNOMIAL))
        return m
