"""Writes finished pixels to an activation bank."""

from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.roles import Kind, Role

from .descriptor import Layer, Token, lane_offsets
from .tensor_walk import TensorWalk


class OutputWriter(wiring.Component):
    """Places a vector of ``cols`` codes into its lanes of a word, or of two consecutive words.

    Members
    -------
    layer, go
        Descriptor; ``go`` starts a layer.
    token, codes
        Finished pixel; written if ``valid`` and ``last``.
    address, word, enable
        To the bank, in the same cycle.
    """

    STATE = {r"\w+": Kind(Role.CONTROL)}

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.walk = TensorWalk(config, rows=False)
        code = signed(config.act_bits)
        super().__init__(
            {
                "layer": In(Layer),
                "go": In(1),
                "token": In(Token),
                "codes": In(data.ArrayLayout(code, config.cols)),
                "address": Out(data.ArrayLayout(16, config.word_lanes)),
                "word": Out(data.ArrayLayout(code, config.word_lanes)),
                "enable": Out(config.word_lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self.config
        m.submodules.walk = walk = self.walk
        write = self.token.valid & self.token.last
        m.d.comb += [
            walk.base.eq(self.layer.out_base),
            walk.lane.eq(self.layer.out_lane),
            walk.step_x.eq(self.layer.out_step),
            walk.go.eq(self.go),
            walk.take.eq(write),
            walk.end.eq(self.token.end),
            self.address.eq(walk.address),
        ]
        for offset in lane_offsets(cfg):
            with m.If(walk.offset == offset):
                for col in range(cfg.cols):
                    lane = (offset + col) % cfg.word_lanes
                    m.d.comb += [
                        self.word[lane].eq(self.codes[col]),
                        self.enable[lane].eq(write & self.layer.lane_mask[col]),
                    ]
        return m
