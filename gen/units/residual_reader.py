"""Reads the residual of finished pixels from an activation bank."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.roles import Kind, Role

from .descriptor import Layer, Token, lane_offsets
from .tensor_walk import TensorWalk


class ResidualReader(wiring.Component):
    """Delivers the ``cols`` residual codes of each finished pixel, aligned.

    Members
    -------
    layer, go
        Descriptor; ``go`` starts a layer.
    token
        The residual of this pixel is read in this cycle if ``valid``, ``last`` and the layer has
        one.
    address, active
        To the bank.
    word
        From the bank, one cycle later.
    codes, present
        Two cycles after the address; output tiles beyond ``res_tiles`` have no residual.
    """

    LATENCY = 2

    STATE = {r"codes\w*": Kind(Role.RESIDUAL, pipeline=True), r"\w+": Kind(Role.CONTROL)}

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.walk = TensorWalk(config, rows=True)
        self.offset = Signal.like(self.walk.offset)
        code = signed(config.act_bits)
        super().__init__(
            {
                "layer": In(Layer),
                "go": In(1),
                "token": In(Token),
                "address": Out(data.ArrayLayout(16, config.word_lanes)),
                "active": Out(1),
                "word": In(data.ArrayLayout(code, config.word_lanes)),
                "codes": Out(data.ArrayLayout(code, config.cols)),
                "present": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self.config
        m.submodules.walk = walk = self.walk
        take = self.token.valid & self.token.last & self.layer.residual
        present = walk.tile < self.layer.res_tiles
        offset = self.offset
        found = Signal()
        codes = Signal.like(self.codes)
        m.d.comb += [
            walk.base.eq(self.layer.res_base),
            walk.lane.eq(self.layer.res_lane),
            walk.step_x.eq(self.layer.res_step_x),
            walk.step_y.eq(self.layer.res_step_y),
            walk.columns.eq(self.layer.out_w),
            walk.go.eq(self.go),
            walk.take.eq(take),
            walk.end.eq(self.token.end),
            self.address.eq(walk.address),
            self.active.eq(take & present),
            self.codes.eq(codes),
        ]
        m.d.sync += [offset.eq(walk.offset), found.eq(present), self.present.eq(found)]
        for begin in lane_offsets(cfg):
            with m.If(offset == begin):
                for col in range(cfg.cols):
                    m.d.sync += codes[col].eq(self.word[(begin + col) % cfg.word_lanes])
        return m
