"""Testbench: the requantizer against the integer contract in Python integers, a pixel per cycle."""

from fractions import Fraction

import cocotb

from holdfast.gen.units.requantizer import Requantizer
from tests.sim.lane import RequantizerLane
from tests.sim.units import Cycles, config, pack_layer, signed


def rounded(value: int, shift: int, rounding: str) -> int:
    """rs(v, S), by way of exact fractions."""
    exact = Fraction(value, 1 << shift)
    floor = value >> shift
    rest = exact - floor
    if rounding == "floor" or rest < Fraction(1, 2):
        return floor
    if rest == Fraction(1, 2) and rounding == "half_even":
        return floor + floor % 2
    return floor + 1


def clamp(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def pack_parameters(cfg, bias: int, shift: int, multiplier: int, lo: int, hi: int) -> int:
    members = [(bias, cfg.acc_bits), (shift, 6)]
    members += [(multiplier, cfg.multiplier_bits)] if cfg.multiplier_bits else []
    members += [(lo, cfg.guard_bits), (hi, cfg.guard_bits)] if cfg.learnt_guard else []
    word = position = 0
    for value, width in members:
        word |= (value & (1 << width) - 1) << position
        position += width
    return word


async def stream(
    dut, totals: list[int], channel: dict, layer: dict, residuals: list[int | None]
) -> int:
    """Totals of one channel back to back; the number of violations."""
    cfg = config()
    bench = await Cycles.start(dut, "code", "violation")
    names = {"add": "residual", "residual_zero": "res_zero"}
    guard = ("enable", "use_zero")
    fields = {names.get(name, name): v for name, v in layer.items() if name not in guard}
    bench.set(layer=pack_layer(**fields), channel=pack_parameters(cfg, **channel))
    bench.set(**{name: layer[name] for name in guard if cfg.guard})
    for _ in range(RequantizerLane.SETUP):
        await bench.step(valid=0)
    codes, flags = [], []
    for total, residual in zip(totals, residuals, strict=True):
        acc = signed(total + channel["bias"], cfg.acc_bits)
        v = rounded(
            acc * (channel["multiplier"] if cfg.multiplier_bits else 1),
            channel["shift"],
            cfg.rounding,
        )
        v += layer["zero_out"]
        widest = 1 << cfg.guard_bits - 1
        v = clamp(v, -widest, widest - 1)
        lo, hi = channel["lo"], channel["hi"]
        if not cfg.learnt_bounds:
            two_ranges = 2 * 2**cfg.act_bits
            lo, hi = layer["zero_out"] - two_ranges, layer["zero_out"] + two_ranges - 1
        outside = bool(cfg.guard and layer["enable"] and not lo <= v <= hi)
        if outside:
            zeroes = layer["use_zero"] or not cfg.learnt_bounds
            v = layer["zero_out"] if zeroes else lo if v < lo else hi
        y = clamp(v, layer["lo"], layer["hi"])
        if layer["add"]:
            y = (y - layer["zero_out"]) * layer["add_multiplier_a"]
            if residual is not None:
                y += (residual - layer["residual_zero"]) * layer["add_multiplier_b"]
            y = rounded(y, layer["add_shift"], cfg.rounding) + layer["add_zero"]
            y = clamp(y, layer["add_lo"], layer["add_hi"])
        codes.append(y)
        flags.append(outside)
    count = len(totals)
    for cycle in range(count + Requantizer.LATENCY):
        guarded = cycle - Requantizer.GUARD_STAGE
        added = cycle - Requantizer.RESIDUAL_STAGE
        residual = residuals[added] if 0 <= added < count else None
        seen = await bench.step(
            total=totals[cycle] if cycle < count else 0,
            valid=int(0 <= guarded < count),
            # Where there is no residual, its code is anything.
            residual_value=bench.random.getrandbits(cfg.act_bits) if residual is None else residual,
            residual_present=residual is not None,
        )
        if 0 <= guarded < count:
            assert seen["violation"] == flags[guarded], (totals[guarded], channel, layer)
        else:
            assert not seen["violation"]
        finished = cycle - Requantizer.LATENCY
        if finished >= 0:
            assert signed(seen["code"], cfg.act_bits) == codes[finished], (
                totals[finished], residuals[finished], channel, layer,
            )  # fmt: skip
    return sum(flags)


def draw_case(draw, shift: int | None = None, **fixed):
    """Random parameters, and totals around where the output changes, ties and extremes."""
    cfg = config()
    low, high = -(1 << cfg.act_bits - 1), (1 << cfg.act_bits - 1) - 1
    top = 1 << cfg.acc_bits - 1
    wide = 1 << cfg.guard_bits - 1
    code = lambda: draw.randint(low, high)  # noqa: E731
    lo, hi = sorted(code() for _ in range(2))
    add_lo, add_hi = sorted(code() for _ in range(2))
    multiplier = (
        draw.choice([0, 1, (1 << cfg.multiplier_bits) - 1])
        if draw.random() < 0.3
        else draw.randrange(1 << cfg.multiplier_bits)
    )
    shift = draw.randint(0, cfg.max_shift) if shift is None else shift
    near = draw.choice([0, 4, 40, wide // 8])
    guard_lo, guard_hi = sorted(
        draw.randint(max(-wide, -near * 8), min(wide - 1, near * 8)) for _ in range(2)
    )
    if draw.random() < 0.1:
        guard_lo, guard_hi = guard_hi, guard_lo
    bias = draw.choice([0, draw.randint(-top, top - 1)])
    channel = {
        "bias": bias,
        "shift": shift,
        "multiplier": multiplier,
        "lo": guard_lo,
        "hi": guard_hi,
    }
    add_most = (1 << cfg.add_multiplier_bits) - 1
    layer = {
        "zero_out": code(), "lo": lo, "hi": hi, "enable": draw.randint(0, 1),
        "use_zero": draw.randint(0, 1), "add": draw.randint(0, 1), "residual_zero": code(),
        "add_multiplier_a": draw.choice([add_most, draw.randint(0, add_most)]),
        "add_multiplier_b": draw.choice([add_most, draw.randint(0, add_most)]),
        "add_shift": draw.randint(0, 31), "add_zero": code(), "add_lo": add_lo, "add_hi": add_hi,
    }  # fmt: skip
    if draw.random() < 0.7:
        layer |= {"lo": low, "hi": high, "add_lo": low, "add_hi": high}
        layer["add_shift"] = cfg.add_multiplier_bits + draw.randint(-1, 1)
    layer |= fixed
    totals = [draw.randint(-top, top - 1) for _ in range(6)] + [top - 1, -top, 0, -1, 1]
    if multiplier:
        # Accumulators whose product lies at the middle between two outputs, and beside it.
        for step in range(12):
            middle = ((2 * draw.randint(low - 2, high + 2) + 1) << shift >> 1) // max(
                1, multiplier if cfg.multiplier_bits else 1
            )
            totals.append(signed(middle - bias + step % 3 - 1, cfg.acc_bits))
        # The same around the bounds of a guard that has fixed ones, one step to either side.
        for end in (-2 << cfg.act_bits, 2 << cfg.act_bits):
            edge = ((2 * end - 1) << shift >> 1) // (multiplier if cfg.multiplier_bits else 1)
            totals += [signed(edge - bias + step, cfg.acc_bits) for step in range(-2, 3)]
    return totals, channel, layer, [code() if draw.random() < 0.8 else None for _ in totals]


@cocotb.test()
async def random_channels(dut):
    draw = Cycles(dut).random
    fired = 0
    for _ in range(60):
        fired += await stream(dut, *draw_case(draw))
    assert (fired > 0) == config().guard


@cocotb.test()
async def every_shift(dut):
    """Also those beyond the largest that the contract allows, without an add."""
    draw = Cycles(dut).random
    for shift in range(64):
        await stream(dut, *draw_case(draw, shift, add=0))


@cocotb.test()
async def every_add_shift(dut):
    draw = Cycles(dut).random
    for shift in range(32):
        await stream(dut, *draw_case(draw, add=1, add_shift=shift))


@cocotb.test()
async def ties_of_one_code(dut):
    """Multiplier 1 and small shifts: every tie, both signs."""
    cfg = config()
    draw = Cycles(dut).random
    code = (1 << cfg.act_bits - 1) - 1
    for shift in (1, 2, 3):
        _, channel, layer, _ = draw_case(
            draw, shift, add=0, enable=0, zero_out=0, lo=-code - 1, hi=code
        )
        channel |= {"bias": 0, "multiplier": 1}
        totals = list(range(-20, 21))
        await stream(dut, totals, channel, layer, [None] * len(totals))
