"""One lane of the accumulator bank."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.roles import Kind, Role

from .memory import cells


class AccumulatorLane(wiring.Component):
    """Accumulates one output channel over the reduction tiles, one pixel per cycle.

    Members
    -------
    read_address
        Pixel whose partial sum arrives two cycles later (stage A).
    partial_sum, first
        Partial sum from the array, and whether nothing has been accumulated (stage C, two cycles
        after A).
    valid, chain
        Stage D, one after C: the sum is taken. ``chain``: continue the sum in the register instead
        of the memory's, for layers of one pixel; not with ``maximum``.
    maximum
        Keep the larger of both, which are codes, instead of their sum; static for a layer.
    write, write_address
        Stage E, one after D: store the total.
    total
        The sum, in stage E. Wraps modulo ``2**acc_bits``.

    Latency
    -------
    The pixel may be read again five cycles after it was read.
    """

    STATE = {
        "cells": Kind(Role.ACCUMULATOR_WORDS),
        r"cells__read\d+": Kind(Role.ACCUMULATOR_READ, pipeline=True),
        "fetched": Kind(Role.ACCUMULATOR_FETCHED, pipeline=True),
        "stored": Kind(Role.ACCUMULATOR_STORED, pipeline=True),
        "addend": Kind(Role.ACCUMULATOR_ADDEND, pipeline=True),
        # The port's name for it comes first.
        "write__data|total": Kind(Role.ACCUMULATOR_TOTAL, pipeline=True),
    }

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
        m.submodules.cells = store = cells(self.config.acc_bits, self.config.acc_depth)
        read, write = store.read_port(), store.write_port()
        fetched = Signal(shape)
        stored = Signal(shape)
        addend = Signal(shape)
        total = Signal(shape)
        m.d.comb += [
            read.addr.eq(self.read_address),
            write.addr.eq(self.write_address),
            write.data.eq(total),
            write.en.eq(self.write),
            self.total.eq(total),
        ]
        m.d.sync += [fetched.eq(read.data), stored.eq(fetched), addend.eq(self.partial_sum)]
        # What is not kept becomes 0, so that the adder also passes the maximum.
        code = slice(0, self.config.act_bits)
        larger = self.partial_sum[code].as_signed() > fetched[code].as_signed()
        alone = self.first | (self.maximum & larger)
        with m.If(alone):
            m.d.sync += stored.eq(0)
        with m.If(self.maximum & ~alone):
            m.d.sync += addend.eq(0)
        with m.If(self.valid):
            m.d.sync += total.eq(Mux(self.chain, total, stored) + addend)
        return m
