"""The host in a cocotb testbench: clock, reset, AXI master.

host = await start_host(dut)
await host.load(program)
"""

import logging
import random
import warnings
from collections.abc import Iterator

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge, SimTimeoutError, with_timeout

from holdfast.sim.host import Host

with warnings.catch_warnings():
    # cocotbext-axi 0.1.28 still uses names that cocotb 2 deprecates.
    warnings.simplefilter("ignore")
    from cocotbext.axi import AxiBus, AxiMaster, AxiResp

PERIOD_NS = 10

_ANSWER = 10_000
"""Cycles in which the bus has to answer an access, and each word of it, under any back-pressure."""


class AxiPort:
    """Is the `sim.host.Port` of a device under test: a bus master of cocotbext-axi, and the
    interrupt.

    Parameters
    ----------
    dut
        cocotb handle of the accelerator.
    stall : float
        Probability that a channel is held back in a cycle, on all five AXI channels.
    seed : int
        Of the stalls.
    """

    def __init__(self, dut, stall: float = 0.0, seed: int = 0):
        self.dut = dut
        warnings.simplefilter("ignore", DeprecationWarning)
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)
        self.axi = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
        if stall:
            write, read = self.axi.write_if, self.axi.read_if
            channels = (write.aw_channel, write.w_channel, write.b_channel,
                        read.ar_channel, read.r_channel)  # fmt: skip
            for number, channel in enumerate(channels):
                channel.set_pause_generator(_pauses(stall, seed * 8 + number))

    async def reset(self) -> None:
        """Resets for three cycles; memories keep their contents."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    @property
    def cycles(self) -> int:
        """Counts clock cycles since the clock was started."""
        return round(cocotb.utils.get_sim_time("ns") / PERIOD_NS)

    async def write(self, address: int, data: bytes) -> None:
        """Writes bytes; an error response is an AssertionError."""
        await _answered(self.axi.write(address, data), f"write to {address:#x}", len(data))

    async def read(self, address: int, length: int) -> bytes:
        """Reads bytes; an error response is an AssertionError."""
        response = await _answered(
            self.axi.read(address, length), f"read from {address:#x}", length
        )
        return bytes(response.data)

    async def post(self, address: int, value: int) -> None:
        """Writes a register and returns in the cycle that accepts it, before the answer."""
        accepted = cocotb.start_soon(self._accepted())
        cocotb.start_soon(self.write(address, value.to_bytes(4, "little")))
        await _limited(accepted, f"write to {address:#x}", 4)

    async def step(self, cycles: int) -> None:
        await ClockCycles(self.dut.clk, cycles)

    async def wait_interrupt(self, limit: int) -> bool:
        if self.dut.interrupt.value:
            return True
        timeout = ClockCycles(self.dut.clk, limit)
        return await First(RisingEdge(self.dut.interrupt), timeout) is not timeout

    async def _accepted(self) -> None:
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            if dut.s_axi_wvalid.value and dut.s_axi_wready.value:
                return


async def start_host(dut, stall: float = 0.0, seed: int = 0) -> Host:
    """Starts the clock, resets, and returns the host; parameters as of `AxiPort`."""
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    dut.rst.value = 1
    port = AxiPort(dut, stall, seed)
    await port.reset()
    return Host(port)


async def _answered(access, what: str, length: int):
    """Returns the response to an access; an error is an AssertionError."""
    response = await _limited(access, what, length)
    assert response.resp == AxiResp.OKAY, f"{what}: {response.resp!r}"
    return response


async def _limited(access, what: str, length: int):
    """Returns its result; an AssertionError if there is none within the limit for so many bytes."""
    limit = _ANSWER * (1 + length // 4)
    try:
        return await with_timeout(access, limit * PERIOD_NS, "ns")
    except SimTimeoutError:
        raise AssertionError(f"a {what} had no answer within {limit} cycles") from None


def _pauses(probability: float, seed: int) -> Iterator[bool]:
    generator = random.Random(seed)
    while True:
        yield generator.random() < probability
