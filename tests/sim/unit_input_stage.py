"""Testbench: from activation words to the array's vector."""

import cocotb

from tests.sim.units import Cycles, config, pack, pack_layer, unpack


async def stream(dut, enable: int, use_zero: int, cycles: int = 400) -> None:
    """Random words, blocks, padding and bubbles with tight bounds."""
    cfg = config()
    bits, rows = cfg.act_bits, cfg.rows
    bench = await Cycles.start(dut, "act", "violation", enable=enable, use_zero=use_zero)
    draw = bench.random
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    lo, hi = sorted(draw.randint(low, high) for _ in range(2))
    zero, padding = draw.randint(low, high), draw.randint(low, high)
    bench.set(layer=pack_layer(input_lo=lo, input_hi=hi, zero_in=zero, pad_value=padding))
    pixels, words, violations = [], [], 0
    for cycle in range(cycles):
        word = [draw.randint(low, high) for _ in range(cfg.word_lanes)]
        pixel = (draw.randrange(cfg.sub_blocks), draw.random() < 0.2, draw.random() < 0.8)
        sub_block, pad, valid = pixel
        pixels.append(pixel)
        words.append(word)
        seen = await bench.step(sub_block=sub_block, pad=pad, valid=valid, word=pack(word, bits))
        if cycle >= 2:
            # The word came one cycle after its pixel, the check is one cycle after that.
            sub, pad, valid = pixels[cycle - 2]
            chosen = words[cycle - 1][sub * rows : (sub + 1) * rows]
            fires = enable and valid and not pad and cfg.learnt_guard
            outside = [int(fires and not lo <= code <= hi) for code in chosen]
            assert seen["violation"] == pack(outside, 1), cycle
            violations += sum(outside)
        if cycle >= 3:
            sub, pad, valid = pixels[cycle - 3]
            chosen = words[cycle - 2][sub * rows : (sub + 1) * rows]
            guarded = enable and cfg.learnt_guard
            replaced = [
                (zero if use_zero else min(max(code, lo), hi))
                if guarded and not lo <= code <= hi
                else code
                for code in chosen
            ]
            wanted = [padding] * rows if pad else replaced
            if valid or pad:
                assert unpack(seen["act"], bits, rows) == wanted, cycle
    assert (violations > 0) == bool(enable and cfg.learnt_guard)


@cocotb.test()
async def guard_off(dut):
    await stream(dut, 0, 0)


@cocotb.test()
async def nearer_bound(dut):
    await stream(dut, 1, 0)


@cocotb.test()
async def zero_point(dut):
    await stream(dut, 1, 1)
