"""Serial line: one start bit, eight data bits from the lowest, one stop bit."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class UartReceiver(wiring.Component):
    """Bytes from a line.

    Parameters
    ----------
    divisor : int
        Clock cycles per bit, at least 4.

    Members
    -------
    line
        Asynchronous; high when idle.
    data, valid
        A byte; ``valid`` for one cycle.
    broken
        Instead of ``valid``: the stop bit was missing. Nothing is received before the line has
        been high again.

    Latency
    -------
    ``valid`` comes in the middle of the stop bit, three cycles late.

    Back-pressure
    -------------
    None.
    """

    def __init__(self, divisor: int):
        if divisor < 4:
            raise ValueError(f"divisor must be at least 4, not {divisor}")
        self._divisor = divisor
        super().__init__({"line": In(1, init=1), "data": Out(8), "valid": Out(1), "broken": Out(1)})

    def elaborate(self, platform):
        m = Module()
        first = Signal(init=1)
        line = Signal(init=1)
        timer = Signal(range(self._divisor))
        remaining = Signal(4)
        blocked = Signal()
        sampled = Signal(8)
        m.d.sync += [
            first.eq(self.line),
            line.eq(first),
            self.valid.eq(0),
            self.broken.eq(0),
            timer.eq(timer - 1),
        ]
        m.d.comb += self.data.eq(sampled)
        with m.If(remaining == 0):
            m.d.sync += timer.eq(self._divisor // 2 - 1)
            with m.If(line):
                m.d.sync += blocked.eq(0)
            with m.Elif(~blocked):
                m.d.sync += remaining.eq(10)
        with m.Elif(timer == 0):
            m.d.sync += [timer.eq(self._divisor - 1), remaining.eq(remaining - 1)]
            with m.If(remaining == 1):
                m.d.sync += [self.valid.eq(line), self.broken.eq(~line), blocked.eq(~line)]
            with m.Elif(remaining < 10):
                m.d.sync += sampled.eq(Cat(sampled[1:], line))
            with m.Elif(line):
                # Shorter than half a bit: noise, no start bit.
                m.d.sync += remaining.eq(0)
        return m


class UartTransmitter(wiring.Component):
    """Bytes onto a line.

    Parameters
    ----------
    divisor : int
        Clock cycles per bit.

    Members
    -------
    data, valid, ready
        A byte is taken in a cycle with both ``valid`` and ``ready``.
    line
        High when idle.

    Latency
    -------
    The start bit begins one cycle after a byte is taken and the byte takes ten bits.

    Back-pressure
    -------------
    ``ready`` is low while a byte is sent.
    """

    def __init__(self, divisor: int):
        self._divisor = divisor
        super().__init__({"data": In(8), "valid": In(1), "ready": Out(1), "line": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        bits = Signal(9, init=0x1FF)
        timer = Signal(range(self._divisor))
        remaining = Signal(4)
        m.d.comb += [self.line.eq(bits[0]), self.ready.eq(remaining == 0)]
        with m.If(remaining == 0):
            m.d.sync += timer.eq(self._divisor - 1)
            with m.If(self.valid):
                m.d.sync += [bits.eq(Cat(Const(0, 1), self.data)), remaining.eq(10)]
        with m.Else():
            m.d.sync += timer.eq(Mux(timer == 0, self._divisor - 1, timer - 1))
            with m.If(timer == 0):
                m.d.sync += [bits.eq(Cat(bits[1:], Const(1, 1))), remaining.eq(remaining - 1)]
        return m
