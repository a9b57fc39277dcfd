"""The column lanes behind the array: accumulate, requantize, align."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.skew import Skew
from holdfast.gen.roles import Kind, Role, at

from .accumulator import AccumulatorLane
from .descriptor import Layer, Token
from .lane_setup import (
    ChannelSetup,
    LayerSetup,
    channel_parameters,
    lane_parameters,
)
from .requantizer import Requantizer

__all__ = ["Lanes"]


class Lanes(wiring.Component):
    """One accumulator and one requantizer per column, each one cycle behind its left neighbour.

    Members
    -------
    layer
        Descriptor.
    token
        The pixel whose partial sum leaves column 0 ``LEAD`` cycles later.
    sums
        Feet of the array's columns, skewed.
    enable, use_zero, violation
        Output guard.
    parameter_begin
        Request to the parameter loader: lane 0's channel is read in this cycle.
    parameters
        Channel parameters, two cycles after their address.
    residual_token
        The pixel whose residual is to be read now.
    residual, residual_present
        Its codes, ``ResidualReader.LATENCY`` cycles later, aligned.
    codes, codes_token
        Finished pixel, aligned.
    overflow
        A tile has more pixels than the accumulators hold.

    Latency
    -------
    ``latency`` cycles from ``token`` to ``codes_token``.
    """

    # Stages after the token: A reads the accumulator, C meets the sum, D adds, E holds the total.
    STAGE_A, _, STAGE_C, STAGE_D, STAGE_E = range(5)
    LEAD = STAGE_C + 1
    PARAMETER_STAGE = STAGE_D - 2
    RESIDUAL_READ = 2

    STATE = {
        r"token(?:_\d+)?|pixel(?:_\d+)?|chained": Kind(Role.CONTROL),
        r"(?:residual|present)_skew__\w+": Kind(Role.RESIDUAL),
        r"align__\w+": Kind(Role.OUTPUT_SKEW, pipeline=True),
        r"bias_(?P<lane>\d+)": Kind(Role.REQUANTIZER, pipeline=True),
        r"parameters_(?P<lane>\d+)": Kind(Role.LANE_PARAMETERS, pipeline=True),
        r"channel_setup__guard_\w+": Kind(Role.GUARD, pipeline=True),
        r"channel_setup__\w+": Kind(Role.REQUANTIZER, pipeline=True),
        r"layer_setup__\w+|codes?\w*": Kind(Role.REQUANTIZER),
    }

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        code = signed(config.act_bits)
        super().__init__(
            {
                "layer": In(Layer),
                "token": In(Token),
                "sums": In(data.ArrayLayout(signed(config.acc_bits), config.cols)),
                "enable": In(1),
                "use_zero": In(1),
                "violation": Out(config.cols),
                "parameter_begin": Out(1),
                "parameters": In(channel_parameters(config)),
                "residual_token": Out(Token),
                "residual": In(data.ArrayLayout(code, config.cols)),
                "residual_present": In(1),
                "codes": Out(data.ArrayLayout(code, config.cols)),
                "codes_token": Out(Token),
                "overflow": Out(1),
            }
        )

    @classmethod
    def latency(cls, config: AcceleratorConfig) -> int:
        """Cycles from ``token`` to ``codes_token``."""
        return 1 + cls.STAGE_E + Requantizer.LATENCY + config.cols - 1

    def elaborate(self, platform):
        m = Module()
        cfg = self.config
        pixel_address = range(max(2, cfg.acc_depth))

        tokens, pixels = [], []
        pixel = Signal(range(cfg.acc_depth + 1))
        with m.If(self.token.valid):
            with m.If(self.token.start):
                m.d.sync += pixel.eq(0)
            with m.Elif(pixel != cfg.acc_depth):
                m.d.sync += pixel.eq(pixel + 1)
        previous = self.token
        for stage in range(self.latency(cfg)):
            token = Signal(Token, name=f"token_{stage}")
            m.d.sync += token.eq(previous)
            tokens.append(token)
            previous = token
        pixels.append(pixel)
        for stage in range(1, cfg.cols + self.STAGE_E):
            held = Signal(pixel_address, name=f"pixel_{stage}")
            m.d.sync += held.eq(pixels[-1])
            pixels.append(held)
        chained = Signal()
        m.d.sync += chained.eq(
            (self.layer.out_w == 1) & (self.layer.out_h == 1) & ~self.layer.maximum
        )
        m.d.comb += [
            self.overflow.eq(tokens[self.STAGE_A].valid & (pixel == cfg.acc_depth)),
            self.codes_token.eq(tokens[-1]),
        ]

        begin = [token.valid & token.start & token.last for token in tokens]
        m.d.comb += self.parameter_begin.eq(begin[self.PARAMETER_STAGE])
        residual_stage = self.STAGE_E + Requantizer.RESIDUAL_STAGE - self.RESIDUAL_READ
        m.d.comb += self.residual_token.eq(tokens[residual_stage])

        m.submodules.layer_setup = layer_setup = LayerSetup(cfg)
        m.submodules.channel_setup = channel_setup = ChannelSetup(cfg)
        m.d.comb += [
            layer_setup.layer.eq(self.layer),
            channel_setup.zero_out.eq(self.layer.zero_out),
            channel_setup.lo.eq(layer_setup.settings.lo),
            channel_setup.hi.eq(layer_setup.settings.hi),
            channel_setup.enable.eq(self.enable),
            channel_setup.use_zero.eq(self.use_zero),
            channel_setup.channel.eq(self.parameters),
        ]
        m.submodules.residual_skew = residual_skew = Skew(cfg.cols, signed(cfg.act_bits))
        m.submodules.present_skew = present_skew = Skew(cfg.cols, 1)
        m.d.comb += [present_skew.i[lane].eq(self.residual_present) for lane in range(cfg.cols)]
        m.submodules.align = align = Skew(cfg.cols, signed(cfg.act_bits), reverse=True)
        m.d.comb += [residual_skew.i.eq(self.residual), self.codes.eq(align.o)]
        for lane in range(cfg.cols):
            a, c, d, e = (
                lane + s for s in (self.STAGE_A, self.STAGE_C, self.STAGE_D, self.STAGE_E)
            )
            accumulator = at(AccumulatorLane(cfg), lane=lane)
            requantizer = at(Requantizer(cfg), lane=lane)
            m.submodules[f"accumulator_{lane}"] = accumulator
            m.submodules[f"requantizer_{lane}"] = requantizer
            bias = Signal(signed(cfg.acc_bits), name=f"bias_{lane}")
            parameters = Signal(lane_parameters(cfg), name=f"parameters_{lane}")
            with m.If(begin[d]):
                m.d.sync += bias.eq(self.parameters.bias)
            with m.If(begin[e]):
                m.d.sync += parameters.eq(channel_setup.parameters)
            m.d.comb += [
                accumulator.read_address.eq(pixels[a]),
                accumulator.partial_sum.eq(self.sums[lane]),
                accumulator.first.eq(tokens[c].first),
                accumulator.valid.eq(tokens[d].valid),
                accumulator.chain.eq(chained & ~tokens[d].first),
                accumulator.maximum.eq(self.layer.maximum),
                accumulator.write.eq(tokens[e].valid & ~tokens[e].last),
                accumulator.write_address.eq(pixels[e]),
                requantizer.total.eq(accumulator.total),
                requantizer.bias.eq(bias),
                requantizer.parameters.eq(parameters),
                requantizer.settings.eq(layer_setup.settings),
                requantizer.use_zero.eq(self.use_zero if cfg.learnt_guard else self.enable),
                requantizer.residual_value.eq(residual_skew.o[lane]),
                requantizer.residual_present.eq(present_skew.o[lane]),
                self.violation[lane].eq(requantizer.violation),
                align.i[lane].eq(requantizer.code),
            ]
            checked = e + Requantizer.GUARD_STAGE
            m.d.comb += requantizer.valid.eq(
                tokens[checked].valid & tokens[checked].last & self.layer.lane_mask[lane]
            )
        return m
