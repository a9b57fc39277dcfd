"""Testbench: the systolic array, fed with tiles at their least interval."""

import cocotb
import numpy as np

from tests.sim.units import Cycles, config, pack, signed, unpack


async def run_tiles(dut, lengths: list[int], interval: int) -> None:
    """Stream tiles of some vectors each, the next tile's weights loaded meanwhile.

    Every tile begins ``max(length, interval)`` cycles after the one before it.
    """
    cfg = config()
    rows, cols = cfg.rows, cfg.cols
    bench = await Cycles.start(dut, "sums")
    draw = np.random.default_rng(rows * 16 + cols)
    top = (1 << cfg.weight_bits - 1) - 1
    half = 1 << cfg.act_bits - 1
    weights = [draw.integers(-top, top + 1, (rows, cols)) for _ in lengths]
    acts = [draw.integers(-half, half, (length, rows)) for length in lengths]

    swaps = [rows + 1]
    for length in lengths[:-1]:
        swaps.append(swaps[-1] + max(length, interval))
    load, feed, expect = {}, {}, {}
    for tile, swap in enumerate(swaps):
        # The first tile is loaded before all; the others as soon as their rows may be.
        begin = 0 if tile == 0 else swaps[tile - 1] + cols - 1
        for row in range(rows):
            assert begin + row not in load
            load[begin + row] = (row, weights[tile][row])
        for index, vector in enumerate(acts[tile]):
            feed[swap + 1 + index] = vector
            for col in range(cols):
                value = signed(int(vector @ weights[tile][:, col]), cfg.acc_bits)
                expect.setdefault(swap + 1 + index + rows + 1 + col, {})[col] = value

    compared = 0
    for cycle in range(max(expect) + 1):
        row, words = load.get(cycle, (None, [0] * cols))
        seen = await bench.step(
            act=pack(map(int, feed.get(cycle, draw.integers(-half, half, rows))), cfg.act_bits),
            swap=cycle in swaps,
            weight=pack(map(int, words), cfg.weight_bits),
            load=0 if row is None else 1 << row,
        )
        sums = unpack(seen["sums"], cfg.acc_bits, cols)
        for col, value in expect.get(cycle, {}).items():
            assert sums[col] == value, f"cycle {cycle}, column {col}"
            compared += 1
    assert compared == sum(lengths) * cols


@cocotb.test()
async def back_to_back(dut):
    """Tiles at the least interval: the larger side of the array."""
    cfg = config()
    least = max(cfg.rows, cfg.cols)
    await run_tiles(dut, [least] * 12, least)


@cocotb.test()
async def long_and_short_tiles(dut):
    cfg = config()
    least = max(cfg.rows, cfg.cols)
    await run_tiles(dut, [1, 20, 1, 1, least, 2 * least + 1, 1, 7, 30], least)
