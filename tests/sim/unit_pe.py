"""Testbench: one processing element."""

import cocotb

from holdfast.sim.cocotb.build import parameters
from tests.sim.units import Cycles, signed

OUTPUTS = ("act_out", "sum_out", "swap_out")


async def stream(dut, count: int, extreme: bool) -> None:
    """Random activations, loads and swaps; the outputs follow from the history of the inputs."""
    act_bits, weight_bits, acc_bits = (
        parameters()[name] for name in ("act_bits", "weight_bits", "acc_bits")
    )
    bench = await Cycles.start(dut, *OUTPUTS)

    def draw(width: int) -> int:
        low, high = -(1 << width - 1), (1 << width - 1) - 1
        return bench.random.choice([low, high]) if extreme else bench.random.randint(low, high)

    history, shadow, weight = [], 0, 0
    for cycle in range(count):
        now = {
            "act_in": draw(act_bits),
            "sum_in": draw(acc_bits),
            "weight_in": draw(weight_bits),
            "load": bench.random.random() < 0.3,
            "swap_in": bench.random.random() < 0.2,
        }
        seen = await bench.step(**now)
        history.append(now | {"weight": weight})
        # Shadow and weight change together at the end of the cycle.
        weight, shadow = (
            shadow if now["swap_in"] else weight,
            now["weight_in"] if now["load"] else shadow,
        )
        if cycle >= 2:
            before, earlier = history[-2], history[-3]
            assert signed(seen["act_out"], act_bits) == before["act_in"]
            assert seen["swap_out"] == before["swap_in"]
            total = before["sum_in"] + earlier["act_in"] * earlier["weight"]
            assert signed(seen["sum_out"], acc_bits) == signed(total, acc_bits), cycle


@cocotb.test()
async def random_stream(dut):
    await stream(dut, 1000, extreme=False)


@cocotb.test()
async def extremes_wrap(dut):
    await stream(dut, 300, extreme=True)


@cocotb.test()
async def load_does_not_disturb(dut):
    """The active weight stays until a swap, whatever is loaded."""
    bench = await Cycles.start(dut, *OUTPUTS)
    await bench.step(weight_in=1, load=1)
    await bench.step(load=0, swap_in=1)
    await bench.step(swap_in=0, act_in=1)
    for weight in (0, -1, 1, 0):
        await bench.step(weight_in=weight, load=1)
    seen = await bench.step(load=0)
    assert seen["sum_out"] == 1
    await bench.step(swap_in=1)
    for _ in range(3):
        seen = await bench.step(swap_in=0)
    assert seen["sum_out"] == 0
