"""Testbench: the range check, and delay triangles."""

import cocotb
from cocotb.triggers import Timer

from holdfast.sim.cocotb.build import parameters
from tests.sim.units import Cycles, pack, signed, unpack


@cocotb.test(skip=parameters()["unit"] != "guard")
async def every_value(dut):
    """All values against all bounds and settings."""
    width = parameters()["width"]
    codes = range(-(1 << width - 1), 1 << width - 1)
    for check, override in ((0, 0), (1, 0), (0, 1)):
        dut.check.value, dut.override.value = check, override
        for below, above in ((1, 1), (-2, 3)):
            dut.below.value, dut.above.value = below, above
            for lo in codes:
                for hi in codes:
                    dut.lo.value, dut.hi.value = lo, hi
                    for value in codes:
                        dut.value.value = value
                        await Timer(1, "ns")
                        outside = bool(check) and not lo <= value <= hi
                        wanted = (below if value < lo else above) if outside else value
                        wanted = above if override else wanted
                        assert int(dut.violation.value) == outside, (value, lo, hi)
                        assert signed(int(dut.result.value), width) == wanted, (value, lo, hi)


@cocotb.test(skip=parameters()["unit"] != "skew")
async def triangle(dut):
    """Lane k comes k cycles later, or with reverse the other way round."""
    lanes, width, reverse = (parameters()[name] for name in ("lanes", "width", "reverse"))
    bench = await Cycles.start(dut, "o")
    history = []
    for cycle in range(100):
        history.append([bench.random.randint(-4, 3) for _ in range(lanes)])
        seen = await bench.step(i=pack(history[-1], width))
        for lane, value in enumerate(unpack(seen["o"], width, lanes)):
            delay = lanes - 1 - lane if reverse else lane
            if cycle >= delay:
                assert value == history[cycle - delay][lane], (cycle, lane)
