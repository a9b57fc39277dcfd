"""The column lanes behind the array: accumulate, requantize, align."""

from itertools import pairwise

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.skew import Skew
from holdfast.gen.roles import Kind, Role, at

from .accumulator import AccumulatorLane
from .descriptor import Layer, Token
from .lane_setup import ChannelSetup, LayerSetup, channel_parameters, lane_parameters
from .requantizer import Requantizer


class Lanes(wiring.Component):
    """Joins an accumulator and a requantizer per column, each a cycle behind its left neighbour.

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
        r"(?:residual|present)_skew__\w+": Kind(Role.RESIDUAL, pipeline=True),
        r"align__\w+": Kind(Role.OUTPUT_SKEW, pipeline=True),
        r"bias_(?P<lane>\d+)": Kind(Role.LANE_BIAS, pipeline=True),
        r"parameters_(?P<lane>\d+)": Kind(Role.LANE_PARAMETERS, pipeline=True),
        r"channel_setup__guard_\w+": Kind(Role.GUARD, pipeline=True),
        r"channel_setup__\w+": Kind(Role.REQUANTIZER, pipeline=True),
        r"layer_setup__\w+|codes?\w*": Kind(Role.REQUANTIZER),
    }

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.chained = Signal()
        self.bias = [
            Signal(signed(config.acc_bits), name=f"bias_{lane}") for lane in range(config.cols)
        ]
        self.held = [
            Signal(lane_parameters(config), name=f"parameters_{lane}")
            for lane in range(config.cols)
        ]
        self.channel_setup = ChannelSetup(config)
        # What the pixel in each stage means, and its number while accumulators need it.
        self.tokens = [
            Signal(Token, name=f"token_{stage}") for stage in range(self.latency(config.cols))
        ]
        self.pixels = [Signal(range(config.acc_depth + 1), name="pixel")] + [
            Signal(range(max(2, config.acc_depth)), name=f"pixel_{stage}")
            for stage in range(1, config.cols + self.STAGE_E)
        ]
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
    def latency(cls, cols: int) -> int:
        """Returns cycles from ``token`` to ``codes_token``."""
        return 1 + cls.STAGE_E + Requantizer.LATENCY + cols - 1

    def elaborate(self, platform):
        m = Module()
        self._shift(m)
        tokens, pixels, chained = self.tokens, self.pixels, self.chained
        m.d.sync += chained.eq(
            (self.layer.out_w == 1) & (self.layer.out_h == 1) & ~self.layer.maximum
        )
        m.d.comb += [
            self.overflow.eq(tokens[self.STAGE_A].valid & (pixels[0] == self.config.acc_depth)),
            self.codes_token.eq(tokens[-1]),
        ]
        begin = [token.valid & token.start & token.last for token in tokens]
        m.d.comb += self.parameter_begin.eq(begin[self.PARAMETER_STAGE])
        residual_stage = self.STAGE_E + Requantizer.RESIDUAL_STAGE - self.RESIDUAL_READ
        m.d.comb += self.residual_token.eq(tokens[residual_stage])
        self._setup(m)
        for lane in range(self.config.cols):
            self._lane(m, lane, tokens, pixels, begin, chained)
        return m

    def _shift(self, m) -> None:
        """Passes the token and the number of its pixel from stage to stage."""
        pixel, depth = self.pixels[0], self.config.acc_depth
        with m.If(self.token.valid):
            with m.If(self.token.start):
                m.d.sync += pixel.eq(0)
            with m.Elif(pixel != depth):
                m.d.sync += pixel.eq(pixel + 1)
        for before, token in zip([self.token, *self.tokens], self.tokens, strict=False):
            m.d.sync += token.eq(before)
        for before, held in pairwise(self.pixels):
            m.d.sync += held.eq(before)

    def _setup(self, m) -> None:
        """Returns what all lanes share: layer and channel, and the triangles at both ends."""
        cfg = self.config
        m.submodules.layer_setup = self._layer = LayerSetup(cfg)
        m.submodules.channel_setup = self._channel = self.channel_setup
        m.d.comb += [
            self._layer.layer.eq(self.layer),
            self._channel.zero_out.eq(self.layer.zero_out),
            self._channel.lo.eq(self._layer.settings.lo),
            self._channel.hi.eq(self._layer.settings.hi),
            self._channel.enable.eq(self.enable),
            self._channel.use_zero.eq(self.use_zero),
            self._channel.channel.eq(self.parameters),
        ]
        m.submodules.residual_skew = self._residual = Skew(cfg.cols, signed(cfg.act_bits))
        m.submodules.present_skew = self._present = Skew(cfg.cols, 1)
        m.d.comb += [self._present.i[lane].eq(self.residual_present) for lane in range(cfg.cols)]
        m.submodules.align = self._align = Skew(cfg.cols, signed(cfg.act_bits), reverse=True)
        m.d.comb += [self._residual.i.eq(self.residual), self.codes.eq(self._align.o)]

    def _lane(self, m, lane: int, tokens, pixels, begin, chained) -> None:
        """One accumulator and its requantizer."""
        cfg = self.config
        a, c, d, e = (lane + s for s in (self.STAGE_A, self.STAGE_C, self.STAGE_D, self.STAGE_E))
        accumulator = at(AccumulatorLane(cfg), lane=lane)
        requantizer = at(Requantizer(cfg), lane=lane)
        m.submodules[f"accumulator_{lane}"] = accumulator
        m.submodules[f"requantizer_{lane}"] = requantizer
        bias, parameters = self.bias[lane], self.held[lane]
        with m.If(begin[d]):
            m.d.sync += bias.eq(self.parameters.bias)
        with m.If(begin[e]):
            m.d.sync += parameters.eq(self._channel.parameters)
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
            requantizer.settings.eq(self._layer.settings),
            requantizer.use_zero.eq(self.use_zero if cfg.learnt_guard else self.enable),
            requantizer.residual_value.eq(self._residual.o[lane]),
            requantizer.residual_present.eq(self._present.o[lane]),
            self.violation[lane].eq(requantizer.violation),
            self._align.i[lane].eq(requantizer.code),
        ]
        checked = e + Requantizer.GUARD_STAGE
        m.d.comb += requantizer.valid.eq(
            tokens[checked].valid & tokens[checked].last & self.layer.lane_mask[lane]
        )
