"""Testbench: applies inputs and flips cycle by cycle and records outputs and the whole state."""

import cocotb
from cocotb.triggers import Timer

from holdfast.sim.cocotb.build import parameters, write_results


def words(dut, name, depth):
    handle = getattr(dut, name)
    return [handle] if depth is None else [handle[address] for address in range(depth)]


@cocotb.test()
async def record(dut):
    given = parameters()
    state = [word for name, depth in given["state"] for word in words(dut, name, depth)]
    outputs = [getattr(dut, name) for name in given["outputs"]]
    recorded = []
    dut.clk.value = 0
    for inputs, flip in given["cycles"]:
        for name, value in inputs.items():
            getattr(dut, name).value = value
        if flip is not None:
            name, address, bit = flip
            await Timer(1, "ns")
            handle = getattr(dut, name)
            handle = handle if address is None else handle[address]
            handle.value = int(handle.value) ^ (1 << bit)
        await Timer(1, "ns")
        row = [int(handle.value) for handle in outputs]
        dut.clk.value = 1
        await Timer(1, "ns")
        row += [int(handle.value) for handle in state]
        dut.clk.value = 0
        await Timer(1, "ns")
        recorded.append(row)
    write_results(recorded)
