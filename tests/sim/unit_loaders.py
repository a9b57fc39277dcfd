"""Testbench: weight loader or parameter loader."""

import cocotb

from holdfast.sim.cocotb.build import parameters
from tests.sim.units import Cycles, config


async def expect_loads(
    bench: Cycles, inputs: dict[int, dict[str, int]], begins: list[int], base: int
):
    """Rows at ``begin + r``, addresses in order, ``load`` two cycles later."""
    rows = config().rows
    reads = {
        begin + row: base + tile * rows + row
        for tile, begin in enumerate(begins)
        for row in range(rows)
    }
    loads = {begin + row + 2: 1 << row for begin in begins for row in range(rows)}
    for cycle in range(max(loads) + 4):
        idle = {"go": 0, "load_next": 0, "stop": 0}
        seen = await bench.step(**idle | inputs.get(cycle, {}))
        assert seen["active"] == (cycle in reads), cycle
        if cycle in reads:
            assert seen["address"] == reads[cycle], cycle
        assert seen["load"] == loads.get(cycle, 0), cycle


@cocotb.test(skip=parameters()["unit"] != "weights")
async def weight_tiles(dut):
    """The first tile on go, the others on request, at random and least intervals."""
    cfg = config()
    least = max(cfg.rows, cfg.cols)
    bench = await Cycles.start(dut, "address", "active", "load")
    for base in (0, 77, (1 << 20) - 300):
        # The feeder asks for the second tile two cycles after go.
        inputs = {0: {"go": 1, "base": base}}
        begins, time = [1], 2
        for _ in range(8):
            inputs[time] = {"load_next": 1}
            begins.append(time + least - 1)
            time += max(4, least) + bench.random.choice([0, 0, 1, 5])
        await expect_loads(bench, inputs, begins, base)


@cocotb.test(skip=parameters()["unit"] != "weights")
async def stop_forgets(dut):
    bench = await Cycles.start(dut, "address", "active", "load", base=5)
    await bench.step(go=1)
    await bench.step(go=0, load_next=1)
    await bench.step(load_next=0, stop=1)
    await bench.step(stop=0)
    await bench.step()
    for _ in range(40):
        seen = await bench.step()
        assert not seen["active"] and not seen["load"]
    await expect_loads(bench, {0: {"go": 1, "base": 9}}, [1], 9)


@cocotb.test(skip=parameters()["unit"] != "parameters")
async def parameter_channels(dut):
    """``cols`` channels with every begin, the first in the same cycle."""
    cols = config().cols
    bench = await Cycles.start(dut, "address", "active")
    for base in (0, 1000):
        await bench.step(base=base, go=1)
        channel = base
        begins, time = set(), 1
        for _ in range(6):
            begins.add(time)
            time += cols + bench.random.choice([0, 0, 3])
        left = 0
        for cycle in range(time + 5):
            seen = await bench.step(go=0, begin=cycle in begins)
            left = cols if cycle in begins else max(0, left - 1)
            assert seen["active"] == (left > 0), cycle
            if left:
                assert seen["address"] == channel, cycle
                channel += 1
