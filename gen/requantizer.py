"""From a finished accumulator to an activation code."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .guard import RangeGuard

__all__ = ["Requantizer", "channel_parameters", "round_shift"]


def channel_parameters(config: AcceleratorConfig) -> data.StructLayout:
    """Parameters of one output channel."""
    members = {"bias": signed(config.acc_bits), "shift": 6}
    if config.multiplier_bits:
        members["multiplier"] = config.multiplier_bits
    if config.guard:
        members |= {"guard_lo": signed(config.guard_bits), "guard_hi": signed(config.guard_bits)}
    return data.StructLayout(members)


def round_shift(m: Module, value, shift, keep: int, rounding: str, name: str):
    """Rounded arithmetic right shift in two cycles, saturated to ``keep`` bits before rounding.

    Returns the shifted value and the rounding increment (0 or 1), both registered.
    """
    width = len(value)
    # One extra bit below the point holds the first bit shifted out.
    wide = signed(width + 1)
    coarse = Signal(wide, name=f"{name}_coarse")
    fine = Signal(wide, name=f"{name}_fine")
    shift_fine = Signal(3, name=f"{name}_shift")
    result = Signal(signed(keep), name=f"{name}_result")
    increment = Signal(name=f"{name}_increment")
    extended = Cat(Const(0, 1), value).as_signed()
    # Shifts of the width and more keep only the sign.
    m.d.sync += [coarse.eq(extended >> Cat(Const(0, 3), shift[3:])), shift_fine.eq(shift[:3])]
    m.d.comb += fine.eq(coarse >> shift_fine)
    whole = fine[1:].as_signed()
    high, low = (1 << (keep - 1)) - 1, -(1 << (keep - 1))
    if len(whole) > keep:
        overflow = whole[keep - 1 :] != whole[-1].replicate(len(whole) - keep + 1)
        m.d.sync += result.eq(Mux(overflow, Mux(whole[-1], low, high), whole))
    else:
        m.d.sync += result.eq(whole)
    if rounding == "half_up":
        m.d.sync += increment.eq(fine[0])
    elif rounding == "half_even":
        lost_coarse = Signal(name=f"{name}_lost")
        mask = (Const(1, width + 1) << Cat(Const(0, 3), shift[3:])) - 1
        m.d.sync += lost_coarse.eq((extended & mask).any())
        lost_fine = (coarse & ((Const(1, 8) << shift_fine) - 1)).any()
        m.d.sync += increment.eq(fine[0] & (fine[1] | lost_coarse | lost_fine))
    return result, increment


class Requantizer(wiring.Component):
    """Bias, multiply, rounded shift, zero point, output guard, clamp, residual add; one pixel per
    cycle.

    Members
    -------
    total
        Accumulator, wraps modulo ``2**acc_bits`` when the bias is added.
    parameters
        Of this lane's channel. Each is used in its own stage, all within ``PARAMETER_CYCLES``.
    zero_out, lo, hi
        Zero point and clamp.
    enable, use_zero, valid, violation
        Output guard; ``valid`` marks the pixel in the guard's stage, ``GUARD_STAGE`` cycles after
        ``total``.
    residual, add, residual_value, ...
        Residual add; ``residual_value`` is taken ``RESIDUAL_STAGE`` cycles after ``total``.
    code
        Activation code, ``LATENCY`` cycles after ``total``.

    Source
    ------
    The integer contract in docs/architecture.md.
    """

    GUARD_STAGE = 6
    PARAMETER_CYCLES = 7
    RESIDUAL_STAGE = 7
    LATENCY = 12

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        code = signed(config.act_bits)
        super().__init__(
            {
                "total": In(signed(config.acc_bits)),
                "parameters": In(channel_parameters(config)),
                "zero_out": In(code),
                "lo": In(code),
                "hi": In(code),
                "enable": In(1),
                "use_zero": In(1),
                "valid": In(1),
                "violation": Out(1),
                "add": In(1),
                "residual_value": In(code),
                "residual_zero": In(code),
                "add_multiplier_a": In(config.add_multiplier_bits),
                "add_multiplier_b": In(config.add_multiplier_bits),
                "add_shift": In(6),
                "add_zero": In(code),
                "add_lo": In(code),
                "add_hi": In(code),
                "code": Out(code),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self.config
        code = signed(cfg.act_bits)
        keep = cfg.guard_bits + 2

        biased = Signal(signed(cfg.acc_bits))
        m.d.sync += biased.eq(self.total + self.parameters.bias)

        # The product is split so that each half fits an 18-bit hard multiplier.
        split = 17
        product = Signal(signed(cfg.acc_bits + cfg.multiplier_bits + 1))
        if cfg.multiplier_bits and cfg.acc_bits > split:
            low = Signal(split + cfg.multiplier_bits)
            high = Signal(signed(cfg.acc_bits - split + cfg.multiplier_bits + 1))
            m.d.sync += [
                low.eq(biased[:split] * self.parameters.multiplier),
                high.eq(biased[split:].as_signed() * self.parameters.multiplier),
                product.eq(high.shift_left(split) + low),
            ]
        else:
            multiplied = Signal.like(product)
            multiplier = self.parameters.multiplier if cfg.multiplier_bits else 1
            m.d.sync += [multiplied.eq(biased * multiplier), product.eq(multiplied)]

        shifted, increment = round_shift(
            m, product, self.parameters.shift, keep, cfg.rounding, "requantize"
        )
        exact = Signal(signed(keep + 2))
        value = Signal(signed(cfg.guard_bits))
        limit = 1 << (cfg.guard_bits - 1)
        m.d.comb += exact.eq(shifted + increment + self.zero_out)
        m.d.sync += value.eq(Mux(exact < -limit, -limit, Mux(exact > limit - 1, limit - 1, exact)))
        checked = value
        if cfg.guard:
            m.submodules.guard = guard = RangeGuard(cfg.guard_bits)
            m.d.comb += [
                guard.value.eq(value),
                guard.lo.eq(self.parameters.guard_lo),
                guard.hi.eq(self.parameters.guard_hi),
                guard.zero.eq(self.zero_out),
                guard.use_zero.eq(self.use_zero),
                guard.enable.eq(self.enable & self.valid),
                self.violation.eq(guard.violation),
            ]
            checked = guard.result
        clamped = Signal(code)
        m.d.sync += clamped.eq(
            Mux(checked < self.lo, self.lo, Mux(checked > self.hi, self.hi, checked))
        )

        wide = cfg.act_bits + 1 + cfg.add_multiplier_bits
        scaled_a = Signal(signed(wide + 1))
        scaled_b = Signal(signed(wide + 1))
        total = Signal(signed(wide + 1))
        m.d.sync += [
            scaled_a.eq((clamped - self.zero_out) * self.add_multiplier_a),
            scaled_b.eq((self.residual_value - self.residual_zero) * self.add_multiplier_b),
            total.eq(scaled_a + scaled_b),
        ]
        added, add_increment = round_shift(
            m, total, self.add_shift, cfg.act_bits + 2, cfg.rounding, "add"
        )
        exact_add = Signal(signed(cfg.act_bits + 4))
        m.d.comb += exact_add.eq(added + add_increment + self.add_zero)

        delayed = clamped
        for stage in range(4):
            following = Signal(code, name=f"clamped_{stage}")
            m.d.sync += following.eq(delayed)
            delayed = following
        result = Signal(code)
        with m.If(self.add):
            m.d.sync += result.eq(
                Mux(
                    exact_add < self.add_lo,
                    self.add_lo,
                    Mux(exact_add > self.add_hi, self.add_hi, exact_add),
                )
            )
        with m.Else():
            m.d.sync += result.eq(delayed)
        m.d.comb += self.code.eq(result)
        return m
