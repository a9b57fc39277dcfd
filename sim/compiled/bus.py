"""The AXI4 port of an accelerator that runs in the compiled engine.

    bus = CompiledBus(model)
    for address, data in network_writes(program):
        bus.write(address, data)
    bus.write_word(address, value)
    data = bus.read(address, length)

Bursts of up to 256 beats; the manager is always ready. Every cycle passes through the model's
``step``, ``send`` or, in `CompiledBus.wait_interrupt`, ``run_until``, so that a subclass of
`CompiledModel` can record or disturb it.
"""

from collections.abc import Iterator

import numpy as np

from holdfast.sim.host import complete
from holdfast.sim.register_port import RegisterPort
from holdfast.sim.transport.base import AccessRefused, BusError

from .model import CompiledModel

_BEAT = 4
_BURST = 256 * _BEAT


class CompiledPins:
    """Is the `sim.register_port.Pins` of a model; its coroutine never waits.

    Parameters
    ----------
    model : CompiledModel
        Of an accelerator.
    """

    def __init__(self, model: CompiledModel):
        self._model = model
        self.drive = model.poke

    async def edge(self, *names: str) -> list[int]:
        values = [self._model.peek(name) for name in names]
        self._model.step()
        return values


class CompiledBus:
    """Manages the ``s_axi`` port of a model.

    Parameters
    ----------
    model : CompiledModel
        Of an accelerator.
    timeout : int
        Cycles after which an unanswered beat raises BusError.
    """

    checked = True

    def __init__(self, model: CompiledModel, timeout: int = 10_000):
        self.model = model
        self.timeout = timeout
        self._port = RegisterPort(CompiledPins(model), timeout)
        self.quiet = self._port.quiet

    def write(self, address: int, data: bytes) -> None:
        """Writes bytes from `address` on."""
        model = self.model
        for start, part in _bursts(address, len(data)):
            model.poke("s_axi_awaddr", start)
            model.poke("s_axi_awlen", len(part) - 1)
            self._offer("aw")
            if start >= address and part[-1] + _BEAT <= address + len(data):
                words = np.frombuffer(data, "<u4", len(part), start - address)
                model.poke("s_axi_wstrb", 0b1111)
                if not model.send("s_axi_w", "s_axi_wdata", "s_axi_wlast", words, self.timeout):
                    raise BusError(f"the bus took no beat on w within {self.timeout} cycles.")
            else:
                for beat in part:
                    self._send_lanes(beat, beat == part[-1], address, data)
            self._answer("b", "write to", start, 1)

    def read(self, address: int, length: int) -> bytes:
        """Reads `length` bytes from `address` on."""
        found = bytearray()
        first = address
        for start, part in _bursts(address, length):
            self.model.poke("s_axi_araddr", start)
            self.model.poke("s_axi_arlen", len(part) - 1)
            self._offer("ar")
            first = min(first, start)
            for value in self._answer("r", "read of", start, len(part)):
                found += value.to_bytes(_BEAT, "little")
        return bytes(found[address - first : address - first + length])

    def write_word(self, address: int, value: int) -> None:
        """Writes one register."""
        self.write(address, value.to_bytes(_BEAT, "little"))

    def post_word(self, address: int, value: int) -> None:
        """Writes one register and returns with the edge that accepts it, before the answer."""
        model = self.model
        model.poke("s_axi_awaddr", address)
        model.poke("s_axi_awlen", 0)
        model.poke("s_axi_wdata", value)
        model.poke("s_axi_wstrb", (1 << _BEAT) - 1)
        model.poke("s_axi_wlast", 1)
        self._offer("aw")
        self._offer("w")

    def read_word(self, address: int) -> int:
        """Reads one register."""
        return int.from_bytes(self.read(address, _BEAT), "little")

    def wait_interrupt(self, limit: int) -> bool:
        """Runs until the interrupt, at most `limit` cycles; tells whether it came."""
        model = self.model
        return bool(model.peek("interrupt")) or (model.run_until("interrupt", 1, limit) is not None)

    def _send_lanes(self, beat: int, last: bool, address: int, data: bytes) -> None:
        """One beat of a write of bytes from `address` on, of which it may hold only some."""
        lanes = [lane for lane in range(_BEAT) if 0 <= beat + lane - address < len(data)]
        self.model.poke("s_axi_wdata", sum(data[beat + n - address] << 8 * n for n in lanes))
        self.model.poke("s_axi_wstrb", sum(1 << lane for lane in lanes))
        self.model.poke("s_axi_wlast", last)
        self._offer("w")

    def _offer(self, channel: str) -> None:
        """Holds valid until the subordinate has taken the beat."""
        if not complete(self._port.offer(channel)):
            raise BusError(f"the bus took no beat on {channel} within {self.timeout} cycles.")

    def _answer(self, channel: str, what: str, address: int, beats: int) -> list[int]:
        """The beats of an answer; raises if one of them is an error."""
        model = self.model
        values: list[int] = []
        refused = False
        for _ in range(self.timeout * beats):
            if model.peek(f"s_axi_{channel}valid"):
                refused |= model.peek(f"s_axi_{channel}resp") != 0
                values.append(model.peek("s_axi_rdata") if channel == "r" else 0)
            model.step()
            if len(values) == beats:
                if refused:
                    raise AccessRefused(f"the accelerator refused a {what} address {address:#x}.")
                return values
        raise BusError(f"a {what} address {address:#x} had no answer in {self.timeout} cycles.")


def _bursts(address: int, length: int) -> Iterator[tuple[int, range]]:
    """Start and beat addresses of the bursts that cover some bytes; none crosses 4 KB."""
    position = address - address % _BEAT
    while position < address + length:
        end = min(position - position % _BURST + _BURST, address + length)
        yield position, range(position, end, _BEAT)
        position = end
