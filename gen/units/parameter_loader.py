"""Reads the parameters of each output channel just before its lane needs them."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.roles import Kind, Role


class ParameterLoader(wiring.Component):
    """Loads one channel per cycle, as the wavefront moves from lane to lane.

    Members
    -------
    base, go
        ``go`` sets the pointer to channel ``base``.
    begin
        The first finished pixel of an output tile is at lane 0.
    address, active
        Channel read in this cycle; lane c's ``c`` cycles after ``begin``.
    """

    STATE = {r"\w+": Kind(Role.CONTROL)}

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.lane = Signal(range(config.cols + 1), init=config.cols)
        super().__init__(
            {"base": In(14), "go": In(1), "begin": In(1), "address": Out(14), "active": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        cols = self.config.cols
        pointer = Signal(14)
        lane = self.lane
        m.d.comb += [self.address.eq(pointer), self.active.eq(self.begin | (lane != cols))]
        with m.If(self.active):
            m.d.sync += pointer.eq(pointer + 1)
        with m.If(self.begin):
            m.d.sync += lane.eq(1)
        with m.Elif(lane != cols):
            m.d.sync += lane.eq(lane + 1)
        with m.If(self.go):
            m.d.sync += [pointer.eq(self.base), lane.eq(cols)]
        return m
