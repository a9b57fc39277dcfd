"""Testbench: one lane of the accumulator bank."""

import cocotb

from tests.sim.units import Cycles, config, signed


async def accumulate(dut, pixels: int, tiles: int, maximum: int, chain: int = 0) -> None:
    """Tiles of pixels at the least interval; totals of all but the last are stored.

    Stages A to E of a pixel are one cycle apart.
    """
    cfg = config()
    width = cfg.acc_bits
    bench = await Cycles.start(dut, "total", maximum=maximum)
    draw = bench.random
    # Sums: the whole range, so that they wrap. Maxima are of codes.
    top = 1 << (cfg.act_bits if maximum else width) - 1
    spacing = max(pixels, 1 if chain else 5)
    values, at = {}, {}
    for tile in range(tiles):
        for pixel in range(pixels):
            values[tile, pixel] = draw.randint(-top, top - 1)
            at[tile * spacing + pixel] = (tile, pixel)
    for cycle in range(max(at) + 5):
        inputs = dict.fromkeys(
            ("first", "valid", "chain", "write", "partial_sum", "read_address", "write_address"), 0
        )
        if cycle in at:
            inputs["read_address"] = at[cycle][1]
        if cycle - 2 in at:
            tile, pixel = at[cycle - 2]
            inputs |= {"partial_sum": values[tile, pixel], "first": int(tile == 0)}
        if cycle - 3 in at:
            tile, _ = at[cycle - 3]
            inputs |= {"valid": 1, "chain": int(chain and tile > 0)}
        if cycle - 4 in at:
            tile, pixel = at[cycle - 4]
            inputs |= {"write": int(tile < tiles - 1), "write_address": pixel}
        seen = await bench.step(**inputs)
        if cycle - 4 in at:
            tile, pixel = at[cycle - 4]
            history = [values[t, pixel] for t in range(tile + 1)]
            wanted = max(history) if maximum else signed(sum(history), width)
            assert signed(seen["total"], width) == wanted, (cycle, tile, pixel)


@cocotb.test()
async def sums_wrap(dut):
    for pixels in (1, 3, 4, config().acc_depth):
        await accumulate(dut, pixels, 5, maximum=0)


@cocotb.test()
async def maxima(dut):
    for pixels in (1, 5, config().acc_depth):
        await accumulate(dut, pixels, 5, maximum=1)


@cocotb.test()
async def one_pixel_in_the_register(dut):
    await accumulate(dut, 1, 12, maximum=0, chain=1)
