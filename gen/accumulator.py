"""One lane of the accumulator bank."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig

__all__ = ["AccumulatorLane"]


class AccumulatorLane(wiring.Component):
    """Accumulates one output channel over the reduction tiles, one pixel per cycle.

    Members
    -------
    read_address
        Pixel whose partial sum arrives in the next cycle (stage A).
    partial_sum, first
        Partial sum from the array, and whether nothing has been accumulated (stage B, one cycle
        after A).
    valid, chain
        Stage C, one after B: the sum is taken. ``chain``: continue the sum in the register instead
        of the memory's, for layers of one pixel.
    maximum
        Keep the larger of both instead of their sum; static for a layer.
    write, write_address
        Stage D, one after C: store the total.
    total
        The sum, in stage D. Wraps modulo ``2**acc_bits``.

    Latency
    -------
    The pixel may be read again four cycles after it was read.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        address = range(max(2, config.acc_depth))
        super().__init__(
            {
                "read_address": In(address),
                "partial_sum": In(signed(config.acc_bits)),
                "first": In(1),
                "valid": In(1),
                "chain": In(1),
                "maximum": In(1),
                "write": In(1),
                "write_address": In(address),
                "total": Out(signed(config.acc_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shape = signed(self.config.acc_bits)
        m.submodules.cells = cells = memory.Memory(
            shape=self.config.acc_bits, depth=self.config.acc_depth, init=[]
        )
        read, write = cells.read_port(), cells.write_port()
        stored = Signal(shape)
        addend = Signal(shape)
        total = Signal(shape)
        first = Signal()
        operand = Signal(shape)
        m.d.comb += [
            read.addr.eq(self.read_address),
            write.addr.eq(self.write_address),
            write.data.eq(total),
            write.en.eq(self.write),
            operand.eq(Mux(self.chain, total, stored)),
            self.total.eq(total),
        ]
        m.d.sync += [
            stored.eq(Mux(self.first, 0, read.data)),
            addend.eq(self.partial_sum),
            first.eq(self.first),
        ]
        with m.If(self.valid):
            with m.If(self.maximum):
                m.d.sync += total.eq(Mux(first | (addend > operand), addend, operand))
            with m.Else():
                m.d.sync += total.eq(operand + addend)
        return m
