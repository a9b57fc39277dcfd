"""The host of an accelerator in the compiled engine.

host = compiled_host(model)
complete(host.load(program))
run = complete(host.run(program, step))
"""

from holdfast.sim.host import Host

from .bus import CompiledBus
from .model import CompiledModel


class CompiledPort:
    """Is the `sim.host.Port` of a model; its coroutines never wait.

    Parameters
    ----------
    model : CompiledModel
        Of an accelerator.
    """

    def __init__(self, model: CompiledModel):
        self.model = model
        self.bus = CompiledBus(model)

    @property
    def cycles(self) -> int:
        return self.model.cycles

    async def write(self, address: int, data: bytes) -> None:
        self.bus.write(address, data)

    async def read(self, address: int, length: int) -> bytes:
        return self.bus.read(address, length)

    async def post(self, address: int, value: int) -> None:
        self.bus.post_word(address, value)

    async def step(self, cycles: int) -> None:
        self.model.step(cycles)

    async def wait_interrupt(self, limit: int) -> bool:
        return self.bus.wait_interrupt(limit)


def compiled_host(model: CompiledModel) -> Host:
    """Resets a model and returns its host."""
    port = CompiledPort(model)
    model.reset(3)
    return Host(port)
