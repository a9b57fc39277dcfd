"""Says what all lanes share: layer and channel parameters in the form in which requantizers use
them.
"""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import ADD_SHIFT_BITS
from holdfast.gen.protection.range_guard import less

from .descriptor import Layer
from .round_shift import lift, lift_bits, lifted_bits


def channel_parameters(config: AcceleratorConfig) -> data.StructLayout:
    """Returns parameters of one output channel as the host wrote them."""
    members = {"bias": signed(config.acc_bits), "shift": 6}
    if config.multiplier_bits:
        members["multiplier"] = config.multiplier_bits
    if config.learnt_guard:
        members |= {"guard_lo": signed(config.guard_bits), "guard_hi": signed(config.guard_bits)}
    return data.StructLayout(members)


def lane_parameters(config: AcceleratorConfig) -> data.StructLayout:
    """Returns parameters of one output channel, but its bias, as its requantizer uses them.

    Everything after the shift is relative to the output's zero point. ``multiplier`` and ``shift``
    come from `lift`. ``guard_below``: the lower bound less 1; ``guard_above``: the upper bound;
    ``guard_least``, ``guard_most``: that bound never fires, as the guard is off or it is the
    extreme; ``guard_lo``, ``guard_hi``: the clamp, with the bounds where they replace.
    """
    members: dict[str, object] = {"shift": 6 - lift_bits(config.multiplier_bits)}
    if config.multiplier_bits:
        members["multiplier"] = lifted_bits(config.multiplier_bits)
    if config.learnt_guard:
        bound, clamp = signed(config.guard_bits + 1), signed(config.act_bits + 1)
        members |= {"guard_below": bound, "guard_above": bound, "guard_least": 1, "guard_most": 1}
        members |= {"guard_lo": clamp, "guard_hi": clamp}
    return data.StructLayout(members)


def largest_shift(config: AcceleratorConfig) -> int:
    """Returns the largest shift that reaches the requantizers.

    A larger one than the contract's leaves nothing of any product: with a multiplier,
    `ChannelSetup` makes that 0. Rounding ``floor`` leaves -1 of negative ones.
    """
    return config.max_shift if config.multiplier_bits and config.rounding != "floor" else 63


def lane_settings(config: AcceleratorConfig) -> data.StructLayout:
    """Returns a layer's constants as the requantizers use them.

    ``lo``, ``hi``: clamp relative to the zero point; the others: the residual add. Without a
    residual it adds the zero point alone.
    """
    code, clamp = signed(config.act_bits), signed(config.act_bits + 1)
    multiplier = lifted_bits(config.add_multiplier_bits)
    return data.StructLayout(
        {
            "lo": clamp,
            "hi": clamp,
            "residual_zero": code,
            "add_multiplier_a": multiplier,
            "add_multiplier_b": multiplier,
            "add_shift": ADD_SHIFT_BITS - lift_bits(config.add_multiplier_bits),
            "add_zero": code,
            "add_lo": code,
            "add_hi": code,
        }
    )


class LayerSetup(wiring.Component):
    """Settings from the descriptor.

    Members
    -------
    layer
        Descriptor.
    settings
        One cycle later.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__({"layer": In(Layer), "settings": Out(lane_settings(config))})

    def elaborate(self, platform):
        m = Module()
        cfg, layer, settings = self.config, self.layer, self.settings
        m.d.sync += [
            settings.lo.eq(layer.lo - layer.zero_out),
            settings.hi.eq(layer.hi - layer.zero_out),
            settings.residual_zero.eq(layer.res_zero),
        ]
        with m.If(layer.residual):
            a, shift = lift(layer.add_multiplier_a[: cfg.add_multiplier_bits], layer.add_shift)
            b, _ = lift(layer.add_multiplier_b[: cfg.add_multiplier_bits], layer.add_shift)
            m.d.sync += [
                settings.add_multiplier_a.eq(a),
                settings.add_multiplier_b.eq(b),
                settings.add_shift.eq(shift),
                settings.add_zero.eq(layer.add_zero),
                settings.add_lo.eq(layer.add_lo),
                settings.add_hi.eq(layer.add_hi),
            ]
        with m.Else():
            m.d.sync += [
                settings.add_multiplier_a.eq(1 << (1 << lift_bits(cfg.add_multiplier_bits)) - 1),
                settings.add_multiplier_b.eq(0),
                settings.add_shift.eq(0),
                settings.add_zero.eq(layer.zero_out),
                settings.add_lo.eq(-(1 << (cfg.act_bits - 1))),
                settings.add_hi.eq((1 << (cfg.act_bits - 1)) - 1),
            ]
        return m


class ChannelSetup(wiring.Component):
    """Makes lane parameters of a channel's.

    Members
    -------
    zero_out, lo, hi
        The layer's zero point, and its clamp relative to that.
    enable, use_zero
        Output guard, and whether it replaces a value by the zero point instead of the bound.
    channel
        As read from memory.
    parameters
        One cycle later.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        clamp = signed(config.act_bits + 1)
        super().__init__(
            {
                "zero_out": In(signed(config.act_bits)),
                "lo": In(clamp),
                "hi": In(clamp),
                "enable": In(1),
                "use_zero": In(1),
                "channel": In(channel_parameters(config)),
                "parameters": Out(lane_parameters(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg, channel, parameters = self.config, self.channel, self.parameters
        shift = Signal.like(parameters.shift)
        m.d.comb += parameters.shift.eq(shift)
        if cfg.multiplier_bits:
            multiplier = Signal.like(parameters.multiplier)
            lifted, rest = lift(channel.multiplier, channel.shift)
            m.d.sync += [multiplier.eq(lifted), shift.eq(rest)]
            if largest_shift(cfg) < 63:
                with m.If(channel.shift > largest_shift(cfg)):
                    m.d.sync += multiplier.eq(0)
            m.d.comb += parameters.multiplier.eq(multiplier)
        else:
            m.d.sync += shift.eq(channel.shift)
        if cfg.learnt_guard:
            least = -(1 << (cfg.guard_bits - 1))
            values = {
                "guard_below": channel.guard_lo - self.zero_out - 1,
                "guard_above": channel.guard_hi - self.zero_out,
                "guard_least": ~self.enable | (channel.guard_lo == least),
                "guard_most": ~self.enable | (channel.guard_hi == -least - 1),
            }
            for name, value in values.items():
                held = Signal.like(parameters[name], name=name)
                m.d.sync += held.eq(value)
                m.d.comb += parameters[name].eq(held)
            # A bound beyond the clamp's width needs no more than its sign. The lower one, less 1,
            # is below the clamp's end where the bound is not above it.
            bound = self.enable & ~self.use_zero
            below, above = parameters.guard_below, parameters.guard_above
            from_lo = bound & ~self._below(below, self.lo)
            to_hi = bound & self._below(above, self.hi)
            width = len(self.lo)
            lower = (below[:width] + 1)[:width].as_signed()
            upper = above[:width].as_signed()
            m.d.comb += [
                parameters.guard_lo.eq(
                    Mux(from_lo, Mux(self._below(below, self.hi), lower, self.hi), self.lo)
                ),
                parameters.guard_hi.eq(
                    Mux(to_hi, Mux(self._below(above, self.lo), self.lo, upper), self.hi)
                ),
            ]
        return m

    @staticmethod
    def _below(value: Value, end: Value) -> Value:
        """``value < end``, the end being the narrower one."""
        sign, rest = value[-1], value[len(end) - 1 : -1]
        fits = rest == sign.replicate(len(rest))
        return Mux(fits, less(value[: len(end)], end), sign)
