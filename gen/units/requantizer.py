"""From a finished accumulator to an activation code."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import ADD_SHIFT_BITS
from holdfast.gen.protection.range_guard import fixed_bound, less
from holdfast.gen.roles import Kind, Role

from .lane_setup import lane_parameters, lane_settings, largest_shift
from .round_shift import RoundShift, lift_bits, lifted_bits, narrow


class Requantizer(wiring.Component):
    """Bias, multiply, rounded shift, output guard, clamp, residual add; one pixel per cycle.

    Between the shift and the residual add, values are relative to the output's zero point.

    Members
    -------
    total
        Accumulator, wraps modulo ``2**acc_bits`` when the bias is added.
    bias, parameters
        Of this lane's channel. Each is used in its own stage: the bias with ``total``, the others
        in the ``PARAMETER_CYCLES`` that follow.
    settings
        The layer's.
    use_zero, valid, violation
        Output guard, which ``use_zero`` switches if its bounds are fixed; ``valid`` marks the pixel
        in the guard's stage, ``GUARD_STAGE`` cycles after ``total``.
    residual_value, residual_present
        Are taken ``RESIDUAL_STAGE`` cycles after ``total``; a residual that is not present is its
        zero point.
    code
        Activation code, ``LATENCY`` cycles after ``total``.

    Source
    ------
    The integer contract in docs/architecture.md.
    """

    GUARD_STAGE = 6
    PARAMETER_CYCLES = 6
    RESIDUAL_STAGE = 6
    LATENCY = 13

    STATE = {
        "smaller|larger|outside": Kind(Role.GUARD, pipeline=True),
        r"\w+": Kind(Role.REQUANTIZER, pipeline=True),
    }

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        code = signed(config.act_bits)
        super().__init__(
            {
                "total": In(signed(config.acc_bits)),
                "bias": In(signed(config.acc_bits)),
                "parameters": In(lane_parameters(config)),
                "settings": In(lane_settings(config)),
                "use_zero": In(1),
                "valid": In(1),
                "violation": Out(1),
                "residual_value": In(code),
                "residual_present": In(1),
                "code": Out(code),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg, settings = self.config, self.settings
        shift = self._shifted(m, self._product(m))
        rounded = Signal(signed(cfg.act_bits + 2))
        m.d.sync += rounded.eq(narrow(shift, cfg.act_bits + 1) + shift.increment)
        lo, hi = settings.lo, settings.hi
        low = rounded < lo
        if cfg.learnt_guard:
            lo, hi = self.parameters.guard_lo, self.parameters.guard_hi
            # Without the first part a lower bound above the upper one would lose.
            low = self._learnt_guard(m, shift, rounded) | (rounded < lo)
        elif cfg.guard:
            self._fixed_guard(m, shift, rounded)
        clamped = Signal(signed(cfg.act_bits + 1))
        m.d.sync += clamped.eq(Mux(low, lo, Mux(rounded > hi, hi, rounded)))
        m.d.comb += self.code.eq(self._added(m, clamped))
        return m

    def _product(self, m):
        """The total with its bias, multiplied."""
        cfg, parameters = self.config, self.parameters
        biased = Signal(signed(cfg.acc_bits))
        m.d.sync += biased.eq(self.total + self.bias)

        # The product is split so that each half fits an 18-bit hard multiplier.
        split = 17
        multiplier_bits = lifted_bits(cfg.multiplier_bits)
        product = Signal(signed(cfg.acc_bits + multiplier_bits))
        if cfg.multiplier_bits and cfg.acc_bits > split:
            low = Signal(split + multiplier_bits)
            high = Signal(signed(cfg.acc_bits - split + multiplier_bits))
            m.d.sync += [
                low.eq(biased[:split] * parameters.multiplier),
                high.eq(biased[split:].as_signed() * parameters.multiplier),
                product.eq(Cat(low[:split], (high + low[split:])[: len(high)])),
            ]
        else:
            multiplied = Signal.like(product)
            multiplier = parameters.multiplier if cfg.multiplier_bits else 1
            m.d.sync += [multiplied.eq(biased * multiplier), product.eq(multiplied)]
        return product

    def _shifted(self, m, product) -> RoundShift:
        """The shifted product, of the width that the guard needs."""
        cfg = self.config
        # One bit more than the codes' differences, or than the bounds', shows what is outside.
        keep = cfg.act_bits + 1
        if cfg.learnt_guard:
            keep = cfg.guard_bits + 1
        elif cfg.guard:
            keep = fixed_bound(cfg.act_bits).bit_length() + 1
        m.submodules.shift = shift = RoundShift(
            len(product), lift_bits(cfg.multiplier_bits), largest_shift(cfg), keep, cfg.rounding
        )
        m.d.comb += [shift.value.eq(product), shift.shift.eq(self.parameters.shift)]
        return shift

    def _learnt_guard(self, m, shift: RoundShift, rounded):
        """Output guard with the channel's bounds; returns whether the lower one replaces."""
        parameters = self.parameters
        # whole + increment against a bound, in halves.
        halves = Cat(shift.increment, shift.whole)
        below = less(halves, Cat(Const(1, 1), parameters.guard_below))
        above = less(Cat(Const(0, 1), parameters.guard_above), halves)
        is_smaller = Mux(shift.over, shift.sign, below) & ~parameters.guard_least
        is_larger = Mux(shift.over, ~shift.sign, above) & ~parameters.guard_most
        smaller = Signal()
        larger = Signal()
        m.d.sync += [smaller.eq(is_smaller), larger.eq(is_larger)]
        with m.If((is_smaller | is_larger) & self.use_zero):
            m.d.sync += rounded.eq(0)
        m.d.comb += self.violation.eq((smaller | larger) & self.valid)
        return smaller & ~self.use_zero

    def _fixed_guard(self, m, shift: RoundShift, rounded) -> None:
        """Output guard without learnt bounds."""
        beyond, sign = shift.whole[-2], shift.whole[-1]
        # Rounding takes the one before either bound across it.
        crosses = shift.increment & shift.whole[:-2].all() & ~beyond
        is_outside = (shift.over | (beyond ^ sign ^ crosses)) & self.use_zero
        outside = Signal()
        m.d.sync += outside.eq(is_outside)
        with m.If(is_outside):
            m.d.sync += rounded.eq(0)
        m.d.comb += self.violation.eq(outside & self.valid)

    def _added(self, m, clamped):
        """The code, the residual added."""
        cfg, settings = self.config, self.settings
        wide = cfg.act_bits + 1 + lifted_bits(cfg.add_multiplier_bits)
        difference = Signal(signed(cfg.act_bits + 1))
        scaled_a = Signal(signed(wide))
        scaled_b = Signal(signed(wide))
        sum_ = Signal(signed(wide + 1))
        m.d.sync += [
            difference.eq(self.residual_value - settings.residual_zero),
            scaled_a.eq(clamped * settings.add_multiplier_a),
            scaled_b.eq(difference * settings.add_multiplier_b),
            sum_.eq(scaled_a + scaled_b),
        ]
        with m.If(~self.residual_present):
            m.d.sync += difference.eq(0)
        m.submodules.add_shift = add_shift = RoundShift(
            len(sum_),
            lift_bits(cfg.add_multiplier_bits),
            (1 << ADD_SHIFT_BITS) - 1,
            cfg.act_bits + 1,
            cfg.rounding,
        )
        m.d.comb += [add_shift.value.eq(sum_), add_shift.shift.eq(settings.add_shift)]
        added = Signal(signed(cfg.act_bits + 2))
        result = Signal(signed(cfg.act_bits))
        # The increment enters as the carry of one bit below the point.
        halves = Cat(Const(1, 1), narrow(add_shift, cfg.act_bits + 1)).as_signed()
        offset = Cat(add_shift.increment, settings.add_zero).as_signed()
        m.d.sync += [
            added.eq((halves + offset) >> 1),
            result.eq(
                Mux(
                    added < settings.add_lo,
                    settings.add_lo,
                    Mux(added > settings.add_hi, settings.add_hi, added),
                )
            ),
        ]
        return result
