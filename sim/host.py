"""The host of a simulated accelerator, written once for every engine.

    host = Host(port)
    await host.load(program)
    run = await host.run(program, step)

Its methods are coroutines over a `Port`. In a cocotb testbench they are awaited; the compiled
engine's port never waits for anything, and `complete` drives them to their end at once.
"""

from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from holdfast.nn.compiler.program import Program, Step
from holdfast.sim.transport.base import BusError

from . import driver
from .driver import Write
from .registers import REGISTER, control_word, status_part

T = TypeVar("T")


class Port(Protocol):
    """Reaches the bus, the clock and the interrupt of a simulated accelerator."""

    @property
    def cycles(self) -> int:
        """Counts clock cycles, from any moment on."""

    async def write(self, address: int, data: bytes) -> None:
        """Writes bytes; raises if any is refused."""

    async def read(self, address: int, length: int) -> bytes:
        """Reads bytes; raises if any is refused."""

    async def post(self, address: int, value: int) -> None:
        """Writes a register and returns with the edge that accepts it, before the answer."""

    async def step(self, cycles: int) -> None:
        """Lets clock cycles pass."""

    async def wait_interrupt(self, limit: int) -> bool:
        """Waits for the interrupt, at most `limit` cycles; tells whether it came."""


@dataclass(frozen=True)
class RunResult:
    """Says how a run ended.

    Attributes
    ----------
    cycles : int
        Clock cycles from the one that accepts the start write's data to the interrupt.
    status : int
        The status register.
    """

    cycles: int
    status: int


class Host:
    """Talks to one accelerator.

    Parameters
    ----------
    port : Port
        Of an accelerator that has been reset.
    """

    def __init__(self, port: Port):
        self.port = port

    async def write(self, writes: Iterable[Write]) -> None:
        """Sends ``(address, bytes)`` writes."""
        for address, data in writes:
            await self.port.write(address, data)

    async def write_register(self, name: str, value: int) -> None:
        """Writes a register of `gen.layout.REGISTERS`."""
        await self.port.write(REGISTER[name], value.to_bytes(4, "little"))

    async def read_register(self, name: str) -> int:
        """Reads a register of `gen.layout.REGISTERS`."""
        return int.from_bytes(await self.port.read(REGISTER[name], 4), "little")

    async def load(self, program: Program) -> None:
        """Writes descriptors, parameters and weights."""
        await self.write(driver.network_writes(program))

    async def write_tensor(self, program: Program, name: str, codes: NDArray[np.integer]) -> None:
        """Writes a tensor, codes [C, H, W]."""
        await self.write(driver.tensor_writes(program, name, codes))

    async def read_tensor(self, program: Program, name: str) -> NDArray[np.int8]:
        """Reads a stored tensor, codes [C, H, W]."""
        data = await self.port.read(*driver.tensor_range(program, name))
        words = driver.lanes_from_bytes(data, program.config.word_lanes)
        return program.tensor_codes(name, words)

    async def run(
        self, program: Program, step: Step, limit: int = 10_000_000, **settings: bool
    ) -> RunResult:
        """Runs one step of a program to its end, streaming its weights where they do not fit.

        Raises
        ------
        BusError
            The run does not end within ``limit`` cycles.
        """
        plan = driver.loads(program, step.first, step.count)
        early = [load for load in plan if load.after <= step.first]
        for load in early:
            await self.write(driver.chunk_writes(program, load.chunk))
        if plan:
            await self.write_register("ready", early[-1].ready)
        await self.write_register("first", step.first)
        await self.write_register("count", step.count)
        word = control_word(start=True, interrupt=True, **settings)
        await self.port.post(REGISTER["control"], word)
        begin = self.port.cycles
        # The interrupt of the run before goes down one cycle after the start is accepted.
        await self.port.step(3)
        for load in plan[len(early) :]:
            await self._reach(load.after, step, begin, limit)
            await self.write(driver.chunk_writes(program, load.chunk))
            await self.write_register("ready", load.ready)
        if not await self.port.wait_interrupt(limit):
            raise _too_long(step, limit)
        cycles = self.port.cycles - begin
        return RunResult(cycles, await self.read_register("status"))

    async def _reach(self, index: int, step: Step, begin: int, limit: int) -> None:
        """Polls until the run has reached a descriptor or has ended."""
        while self.port.cycles < begin + limit:
            status = await self.read_register("status")
            reached = status_part(status, "index") >= index
            if reached or not status_part(status, "busy"):
                return
        raise _too_long(step, limit)


def _too_long(step: Step, limit: int) -> BusError:
    return BusError(f"{step.name} did not end within {limit} cycles.")


def complete(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that never waits, such as one over the compiled engine's port."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("a coroutine of the compiled engine waits")
