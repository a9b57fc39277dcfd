"""Frames that end in a checksum, in a serial bridge that knows them."""

from amaranth.hdl import Module, Mux, Signal, Value

from holdfast.gen.units.memory import cells

from .checksum import Checksum

_BUFFER = 256


class CheckedFrames:
    """Holds what a bridge with a checksum has more.

    The words of a write wait in a memory, at the number of words that were still to come. Those of
    a checked write are carried out together, those of others as they come.

    Attributes
    ----------
    checked
        The command under way has a checksum.
    locked
        No other is taken.
    damaged
        A frame cannot be what was sent; for one cycle.
    left
        Words of the write that have not been carried out.
    writing, all
        A word is carried out; it is one of a checked write.
    under_way
        Not all words have been carried out.
    tail
        The answer's checksum is being sent.
    """

    def __init__(self, m: Module, remaining: Signal, data: Signal):
        m.submodules.checksum = self.checksum = Checksum()
        m.submodules.waiting = memory = cells(32, _BUFFER)
        self._kept, self._carried = memory.write_port(), memory.read_port()
        self.checked, self.locked, self.damaged = Signal(), Signal(), Signal()
        self.left = Signal(8)
        self.writing, self.all, self.tail = Signal(), Signal(), Signal()
        self._draining = draining = Signal()
        self.under_way = draining | self.writing
        m.d.comb += [
            self._kept.addr.eq(remaining),
            self._kept.data.eq(data),
            self._carried.addr.eq(self.left),
        ]
        m.d.sync += self.writing.eq(draining)
        with m.If(draining):
            m.d.sync += [self.left.eq(self.left - 1), draining.eq(self.all & (self.left != 1))]

    def connect(self, m: Module, host, receiver, transmitter) -> None:
        """Gives words to the host, bytes of both directions to the checksum."""
        checksum = self.checksum
        m.d.comb += [
            host.data.eq(self._carried.data),
            checksum.feed.eq(Mux(transmitter.valid, transmitter.ready, receiver.valid)),
            checksum.byte.eq(Mux(transmitter.valid, transmitter.data, receiver.data)),
        ]
        with m.If(self.tail):
            m.d.comb += [transmitter.data.eq(checksum.low), checksum.byte.eq(~checksum.low)]

    def begin(self, m: Module, receiver, received, known) -> None:
        """While a command is awaited."""
        m.d.sync += self.checked.eq(receiver.data[7])
        m.d.comb += self.checksum.clear.eq(~received)
        with m.If(received & self.locked & ~known):
            m.d.comb += self.damaged.eq(1)

    def keep(self, m: Module) -> None:
        """A word has come."""
        m.d.comb += self._kept.en.eq(1)
        with m.If(~self.checked):
            m.d.sync += self._draining.eq(1)

    def judge(self, m: Module, writes) -> Value:
        """A checked command is complete; returns whether it is a read to be answered."""
        good = self.checksum.good
        m.d.comb += [self.checksum.clear.eq(1), self.damaged.eq(~good)]
        with m.If(good & writes):
            m.d.sync += [self._draining.eq(1), self.all.eq(1)]
        return good & ~writes
