"""Testbench: output writer and residual reader, tiles that straddle words."""

import cocotb

from holdfast.sim.cocotb.build import parameters
from tests.sim.units import Cycles, config, pack, pack_layer, pack_token, unpack

WRITER = parameters()["unit"] == "writer"


def offsets() -> list[int]:
    """Lanes at which a tile can begin: those that multiples of the columns reach."""
    cfg = config()
    return sorted({tile * cfg.cols % cfg.word_lanes for tile in range(cfg.word_lanes)})


@cocotb.test(skip=not WRITER)
async def writes_land_where_their_channels_are(dut):
    """Tiles of a map go to consecutive lanes of its pixels' words, in order."""
    cfg = config()
    bits, lanes, cols = cfg.act_bits, cfg.word_lanes, cfg.cols
    bench = await Cycles.start(dut, "address", "word", "enable")
    draw = bench.random
    for number in range(12):
        tiles, pixels = draw.randint(1, 5), draw.randint(1, 6)
        lane, base = draw.choice(offsets()), draw.randint(0, 1000)
        step = -(-(lane + tiles * cols) // lanes)
        mask = (1 << cols) - 1 if number % 2 else draw.randrange(1, 1 << cols)
        bench.set(layer=pack_layer(out_base=base, out_lane=lane, out_step=step, lane_mask=mask))
        await bench.step(go=1, token=0)
        memory, wanted = {}, {}
        for tile in range(tiles):
            for last in (0, 1):
                for pixel in range(pixels):
                    while draw.random() < 0.2:
                        seen = await bench.step(go=0, token=pack_token(0, 1, 1, 1, 1))
                        assert seen["enable"] == 0
                    token = pack_token(1, pixel == 0, pixel == pixels - 1, 0, last)
                    codes = [
                        draw.randint(-(1 << bits - 1), (1 << bits - 1) - 1) for _ in range(cols)
                    ]
                    seen = await bench.step(go=0, token=token, codes=pack(codes, bits))
                    addresses = [a & 0xFFFF for a in unpack(seen["address"], 16, lanes)]
                    words = unpack(seen["word"], bits, lanes)
                    for index in range(lanes):
                        if seen["enable"] >> index & 1:
                            assert last
                            assert (addresses[index], index) not in memory
                            memory[addresses[index], index] = words[index]
                    if last:
                        for col in range(cols):
                            if mask >> col & 1:
                                word, place = divmod(lane + tile * cols + col, lanes)
                                wanted[base + pixel * step + word, place] = codes[col]
        assert memory == wanted


@cocotb.test(skip=WRITER)
async def residuals_come_from_their_channels(dut):
    """Strided rows and columns; none beyond the tiles that there are."""
    cfg = config()
    bits, lanes, cols = cfg.act_bits, cfg.word_lanes, cfg.cols
    bench = await Cycles.start(dut, "address", "active", "codes", "present")
    draw = bench.random
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    for _ in range(10):
        tiles, rows, columns = draw.randint(1, 5), draw.randint(1, 3), draw.randint(1, 3)
        base, step_x, step_y = draw.randint(0, 500), draw.randint(1, 9), draw.randint(20, 90)
        lane = draw.choice(offsets())
        present = draw.randint(0, tiles)
        layer = pack_layer(
            residual=1, res_base=base, res_lane=lane, res_step_x=step_x, res_step_y=step_y,
            res_tiles=present, out_w=columns,
        )  # fmt: skip
        bench.set(layer=layer)
        await bench.step(go=1, token=0)
        memory: dict[tuple[int, int], int] = {}

        def content(address: int, index: int, memory=memory) -> int:
            return memory.setdefault((address, index), draw.randint(low, high))

        word, wanted = [0] * lanes, {}
        sequence = [(t, p) for t in range(tiles) for p in range(rows * columns)]
        queue = list(sequence)
        cycle = 0
        while queue or cycle <= max(wanted):
            idle = not queue or draw.random() < 0.2
            tile, pixel = (0, 0) if idle else queue.pop(0)
            token = pack_token(not idle, pixel == 0, pixel == rows * columns - 1, 0, not idle)
            seen = await bench.step(go=0, token=token, word=pack(word, bits))
            if cycle in wanted:
                assert seen["present"] == bool(wanted[cycle])
                if seen["present"]:
                    assert unpack(seen["codes"], bits, cols) == wanted[cycle], cycle
            assert seen["active"] == (not idle and tile < present)
            addresses = [a & 0xFFFF for a in unpack(seen["address"], 16, lanes)]
            word = [content(addresses[index], index) for index in range(lanes)]
            if not idle:
                y, x = divmod(pixel, columns)
                at = base + y * step_y + x * step_x
                codes = []
                for col in range(cols):
                    more, place = divmod(lane + tile * cols + col, lanes)
                    codes.append(content(at + more, place))
                wanted[cycle + 2] = codes if tile < present else []
            cycle += 1


@cocotb.test(skip=WRITER)
async def no_residual_reads_nothing(dut):
    bench = await Cycles.start(dut, "active")
    bench.set(layer=pack_layer(residual=0, res_tiles=4, out_w=1))
    await bench.step(go=1)
    for _ in range(10):
        seen = await bench.step(go=0, token=pack_token(1, 1, 1, 1, 1))
        assert not seen["active"]
