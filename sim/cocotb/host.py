"""The host in a cocotb testbench: clock, reset, AXI master, and the driver's operations on it."""

import logging
import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge, SimTimeoutError, with_timeout
from numpy.typing import NDArray

from holdfast.nn.compiler.program import Program, Step
from holdfast.sim import driver
from holdfast.sim.driver import REGISTER

with warnings.catch_warnings():
    # cocotbext-axi 0.1.28 still uses names that cocotb 2 deprecates.
    warnings.simplefilter("ignore")
    from cocotbext.axi import AxiBus, AxiMaster, AxiResp

__all__ = ["Host", "RunResult"]

PERIOD_NS = 10

_ANSWER = 10_000
"""Cycles in which the bus has to answer an access, and each word of it, under any back-pressure."""


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes
    ----------
    cycles : int
        Clock cycles from the one that accepts the start write's data to the interrupt, counted by
        the testbench.
    status : int
        The status register; 0 if the run did not end.
    ended : bool
        Whether the interrupt came before the limit.
    """

    cycles: int
    status: int
    ended: bool


class Host:
    """One accelerator and its bus master.

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

    @classmethod
    async def start(cls, dut, stall: float = 0.0, seed: int = 0) -> "Host":
        """Start the clock and reset."""
        Clock(dut.clk, PERIOD_NS, unit="ns").start()
        dut.rst.value = 1
        host = cls(dut, stall, seed)
        await host.reset()
        return host

    async def reset(self) -> None:
        """Reset for three cycles; memories keep their contents."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    async def write(self, writes) -> None:
        """Send ``(address, bytes)`` writes; an error response is an AssertionError."""
        for address, data in writes:
            response = await _answered(
                self.axi.write(address, data), f"write to {address:#x}", len(data)
            )
            assert response.resp == AxiResp.OKAY, f"write to {address:#x}: {response.resp!r}"

    async def read(self, address: int, length: int) -> bytes:
        response = await _answered(
            self.axi.read(address, length), f"read from {address:#x}", length
        )
        assert response.resp == AxiResp.OKAY, f"read from {address:#x}: {response.resp!r}"
        return bytes(response.data)

    async def write_register(self, name: str, value: int) -> None:
        await self.write([(REGISTER[name], value.to_bytes(4, "little"))])

    async def read_register(self, name: str) -> int:
        return int.from_bytes(await self.read(REGISTER[name], 4), "little")

    async def load(self, program: Program) -> None:
        """Descriptors, parameters and weights."""
        await self.write(driver.network_writes(program))

    async def write_tensor(self, program: Program, name: str, codes: NDArray[np.integer]) -> None:
        await self.write(driver.tensor_writes(program, name, codes))

    async def read_tensor(self, program: Program, name: str) -> NDArray[np.int8]:
        """A stored tensor, codes [C, H, W]."""
        data = await self.read(*driver.tensor_range(program, name))
        words = driver.lanes_from_bytes(data, program.config.word_lanes)
        return program.tensor_codes(name, words)

    async def begin(self, first: int, count: int, **settings: bool) -> None:
        """Start descriptors; returns in the cycle that accepts the start write's data."""
        await self.write_register("first", first)
        await self.write_register("count", count)
        word = driver.control_word(start=True, interrupt=True, **settings)
        accepted = cocotb.start_soon(self._accepted())
        cocotb.start_soon(self.write_register("control", word))
        await _answered(accepted, "start of a run", 4)

    async def finish(self, limit: int) -> RunResult:
        """Wait for the interrupt, at most ``limit`` cycles from now."""
        begin = cocotb.utils.get_sim_time("ns")
        ended = True
        # The interrupt of the run before goes down one cycle after the start is accepted.
        await ClockCycles(self.dut.clk, 3)
        if not self.dut.interrupt.value:
            timeout = ClockCycles(self.dut.clk, limit)
            ended = await First(RisingEdge(self.dut.interrupt), timeout) is not timeout
        cycles = round((cocotb.utils.get_sim_time("ns") - begin) / PERIOD_NS)
        status = await self.read_register("status") if ended else 0
        return RunResult(cycles, status, ended)

    async def run(
        self, program: Program, step: Step, limit: int = 10_000_000, **settings: bool
    ) -> RunResult:
        """Run one step of a program to its end, streaming its weights where they do not fit."""
        plan = driver.loads(program, step.first, step.count)
        early = [load for load in plan if load.after <= step.first]
        for load in early:
            await self.write(driver.chunk_writes(load.chunk))
        if plan:
            await self.write_register("ready", early[-1].ready)
        await self.begin(step.first, step.count, **settings)
        streaming = cocotb.start_soon(self._stream(plan[len(early) :]))
        run = await self.finish(limit)
        streaming.cancel()
        return run

    async def _stream(self, plan: list[driver.Load]) -> None:
        for load in plan:
            while driver.status_part(await self.read_register("status"), "index") < load.after:
                pass
            await self.write(driver.chunk_writes(load.chunk))
            await self.write_register("ready", load.ready)

    async def _accepted(self) -> None:
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            if dut.s_axi_wvalid.value and dut.s_axi_wready.value:
                return


async def _answered(access, what: str, length: int):
    """Its result; an AssertionError if there is none within the limit for so many bytes."""
    limit = _ANSWER * (1 + length // 4)
    try:
        return await with_timeout(access, limit * PERIOD_NS, "ns")
    except SimTimeoutError:
        raise AssertionError(f"a {what} had no answer within {limit} cycles") from None


def _pauses(probability: float, seed: int) -> Iterator[bool]:
    generator = random.Random(seed)
    while True:
        yield generator.random() < probability
