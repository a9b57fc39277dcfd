"""Moves weight tiles from memory into the shadow registers of the array."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.roles import Kind, Role


class WeightLoader(wiring.Component):
    """Reads one tile of ``rows`` words per request, in address order.

    Members
    -------
    base, go
        ``go`` sets the pointer to ``base`` and loads the first tile.
    load_next
        Requests the next tile; it comes with the first pixel of the tile before it.
    stop
        Forgets everything under way.
    address, active
        Word read in this cycle. Consecutive tiles are consecutive in memory.
    next_address
        What ``address`` will be in the next cycle.
    load
        One-hot: the row whose weights are on the memory's registered output.

    Latency
    -------
    Row r's address ``1 + r`` cycles after ``go``, or ``max(rows, cols) - 1 + r`` cycles after
    ``load_next``: the swap to the current tile has then passed all columns of row r, and a first
    tile that is still being loaded is complete. ``load[r]`` ``LATENCY`` cycles after the address.
    """

    LATENCY = 2

    STATE = {r"\w+": Kind(Role.CONTROL)}

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "base": In(20),
                "go": In(1),
                "load_next": In(1),
                "stop": In(1),
                "address": Out(20),
                "next_address": Out(20),
                "active": Out(1),
                "load": Out(config.rows),
            }
        )

    @staticmethod
    def lead(rows: int, cols: int) -> int:
        """Returns cycles from ``load_next`` to the address of the first row."""
        return max(rows, cols) - 1

    def elaborate(self, platform):
        m = Module()
        rows = self.config.rows
        begin = self.load_next
        for stage in range(self.lead(rows, self.config.cols)):
            delayed = Signal(name=f"begin_{stage}")
            m.d.sync += delayed.eq(begin & ~self.stop)
            begin = delayed
        first = Signal()
        pointer = Signal(20)
        row = Signal(range(rows + 1), init=rows)
        m.d.comb += [
            self.active.eq(first | begin | (row != rows)),
            self.address.eq(pointer),
            self.next_address.eq(pointer + self.active),
        ]
        m.d.sync += [first.eq(self.go), pointer.eq(self.next_address)]
        with m.If(first | begin):
            m.d.sync += row.eq(1)
        with m.Elif(row != rows):
            m.d.sync += row.eq(row + 1)
        with m.If(self.go):
            m.d.comb += self.next_address.eq(self.base)
        with m.If(self.stop):
            m.d.sync += [row.eq(rows), first.eq(0)]

        read = Signal(rows)
        registered = Signal(rows)
        for index in range(rows):
            selected = (first | begin) if index == 0 else ~(first | begin) & (row == index)
            m.d.sync += read[index].eq(selected & ~self.stop)
        m.d.sync += registered.eq(read)
        m.d.comb += self.load.eq(registered)
        return m
