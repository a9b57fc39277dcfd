"""The host of an accelerator in the compiled engine: what `sim.cocotb.host.Host` is in cocotb.

host = CompiledHost(model)
host.load(program)
run = host.run(program, step)
"""

import numpy as np
from numpy.typing import NDArray

from holdfast.nn.compiler.program import Program, Step
from holdfast.sim import driver
from holdfast.sim.driver import REGISTER
from holdfast.sim.transport import BusError

from .bus import CompiledBus
from .model import CompiledModel

__all__ = ["CompiledHost"]


class CompiledHost:
    """Resets a model and talks to it.

    Parameters
    ----------
    model : CompiledModel
        Of an accelerator.
    """

    def __init__(self, model: CompiledModel):
        self.model = model
        self.bus = CompiledBus(model)
        model.reset(3)

    def write(self, writes) -> None:
        """Send ``(address, bytes)`` writes."""
        for address, data in writes:
            self.bus.write(address, data)

    def write_register(self, name: str, value: int) -> None:
        self.bus.write_word(REGISTER[name], value)

    def read_register(self, name: str) -> int:
        return self.bus.read_word(REGISTER[name])

    def load(self, program: Program) -> None:
        """Descriptors, parameters and weights."""
        self.write(driver.network_writes(program))

    def write_tensor(self, program: Program, name: str, codes: NDArray[np.integer]) -> None:
        self.write(driver.tensor_writes(program, name, codes))

    def read_tensor(self, program: Program, name: str) -> NDArray[np.int8]:
        """A stored tensor, codes [C, H, W]."""
        data = self.bus.read(*driver.tensor_range(program, name))
        words = driver.lanes_from_bytes(data, program.config.word_lanes)
        return program.tensor_codes(name, words)

    def run(
        self, program: Program, step: Step, limit: int = 10_000_000, **settings: bool
    ) -> tuple[int, int]:
        """Run one step of a program to its end, streaming its weights where they do not fit.

        Returns
        -------
        cycles, status : int
            Clock cycles from the one that accepts the start write's data to the interrupt, and the
            status register.

        Raises
        ------
        BusError
            The run does not end.
        """
        plan = driver.loads(program, step.first, step.count)
        early = [load for load in plan if load.after <= step.first]
        for load in early:
            self.write(driver.chunk_writes(load.chunk))
        if plan:
            self.write_register("ready", early[-1].ready)
        self.write_register("first", step.first)
        self.write_register("count", step.count)
        word = driver.control_word(start=True, interrupt=True, **settings)
        self.bus.post_word(REGISTER["control"], word)
        begin = self.model.cycles
        # The interrupt of the run before goes down one cycle after the start is accepted.
        self.model.step(3)
        for load in plan[len(early) :]:
            if not self._await_index(load.after, begin + limit):
                raise BusError(f"{step.name} did not end within {limit} cycles.")
            self.write(driver.chunk_writes(load.chunk))
            self.write_register("ready", load.ready)
        if not self.bus.wait_interrupt(limit):
            raise BusError(f"{step.name} did not end within {limit} cycles.")
        cycles = self.model.cycles - begin
        return cycles, self.read_register("status")

    def _await_index(self, index: int, limit: int) -> bool:
        """Poll until the run has reached a descriptor or has ended; False if that is not before the
        model's cycle ``limit``.
        """
        while self.model.cycles < limit:
            status = self.read_register("status")
            reached = driver.status_part(status, "index") >= index
            if reached or not driver.status_part(status, "busy"):
                return True
        return False
