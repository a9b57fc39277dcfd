"""A requantizer with the units that prepare its parameters."""

from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.units.descriptor import Layer
from holdfast.gen.units.lane_setup import ChannelSetup, LayerSetup, channel_parameters
from holdfast.gen.units.requantizer import Requantizer


class RequantizerLane(wiring.Component):
    """Requantizes with a descriptor and the parameters of one channel, which take ``SETUP``
    cycles."""

    SETUP = 2

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "total": In(signed(config.acc_bits)),
                "layer": In(Layer),
                "channel": In(channel_parameters(config)),
                "enable": In(1),
                "use_zero": In(1),
                "valid": In(1),
                "violation": Out(1),
                "residual_value": In(signed(config.act_bits)),
                "residual_present": In(1),
                "code": Out(signed(config.act_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.layer_setup = layer_setup = LayerSetup(self.config)
        m.submodules.channel_setup = channel_setup = ChannelSetup(self.config)
        m.submodules.requantizer = requantizer = Requantizer(self.config)
        m.d.comb += [
            layer_setup.layer.eq(self.layer),
            channel_setup.zero_out.eq(self.layer.zero_out),
            channel_setup.lo.eq(layer_setup.settings.lo),
            channel_setup.hi.eq(layer_setup.settings.hi),
            channel_setup.enable.eq(self.enable),
            channel_setup.use_zero.eq(self.use_zero),
            channel_setup.channel.eq(self.channel),
            requantizer.settings.eq(layer_setup.settings),
            requantizer.parameters.eq(channel_setup.parameters),
            requantizer.bias.eq(self.channel.bias),
            requantizer.total.eq(self.total),
            requantizer.use_zero.eq(self.use_zero if self.config.learnt_guard else self.enable),
            requantizer.valid.eq(self.valid),
            requantizer.residual_value.eq(self.residual_value),
            requantizer.residual_present.eq(self.residual_present),
            self.violation.eq(requantizer.violation),
            self.code.eq(requantizer.code),
        ]
        return m
