"""Testbench: flips every bit of state by name and reads it back."""

import cocotb
from cocotb.handle import LogicObject
from cocotb.triggers import Timer

from holdfast.sim.cocotb.build import parameters, write_results


@cocotb.test()
async def flip_every_bit(dut):
    given = parameters()
    for name, value in given["inputs"].items():
        getattr(dut, name).value = value
    # The clock stands still while bits are flipped.
    for level in (0, 1, 0):
        dut.clk.value = level
        await Timer(1, "ns")
    flipped = 0
    handles = [(getattr(dut, name), width) for name, width in given["flip_flops"]]
    for name, width, depth in given["memories"]:
        handles += [(getattr(dut, name)[address], width) for address in range(depth)]
    for handle, width in handles:
        assert width == (1 if isinstance(handle, LogicObject) else len(handle.value))
        for bit in range(width):
            before = int(handle.value)
            handle.value = before ^ (1 << bit)
            await Timer(1, "ps")
            assert int(handle.value) == before ^ (1 << bit), handle._name
            handle.value = before
            await Timer(1, "ps")
            assert int(handle.value) == before, handle._name
            flipped += 1
    write_results({"flipped": flipped})


@cocotb.test(skip=not parameters().get("fail"))
async def fails(dut):
    raise AssertionError("as it should")


@cocotb.test(skip=not parameters().get("tell"))
async def tells(dut):
    for number in range(3):
        write_results({"number": number})
        await Timer(1, "ns")
