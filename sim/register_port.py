"""AXI4 on the pins of a simulated accelerator, through a port that a fault may have broken.

Library masters raise, or wait for ever, when the subordinate answers what was not asked. This one
is written once for every engine, as `sim.host` is: the same signals in the same cycles.
"""

from typing import Protocol

_BURST = 1024
_WORD_SIZE, _INCREMENTING = 2, 1


class Pins(Protocol):
    """Drives the pins of a simulated accelerator."""

    def drive(self, name: str, value: int) -> None:
        """Drives an input from the last edge on."""

    async def edge(self, *names: str) -> list[int]:
        """Passes the next rising edge and returns what some outputs were just before it."""


class RegisterPort:
    """Manages an accelerator's port; ready for every answer at once.

    Parameters
    ----------
    pins : Pins
        Of an accelerator.
    limit : int
        Cycles after which an unanswered beat is given up.
    """

    def __init__(self, pins: Pins, limit: int = 40):
        self._pins = pins
        self._limit = limit
        for channel in ("aw", "ar"):
            self._drive(channel, id=0, len=0, size=_WORD_SIZE, burst=_INCREMENTING)
        self._drive("b", ready=1)
        self._drive("r", ready=1)
        self.quiet()

    def quiet(self) -> None:
        """Offers nothing."""
        for channel in ("aw", "w", "ar"):
            self._drive(channel, valid=0)

    async def write(self, address: int, value: int) -> bool:
        """Writes a register; returns at the edge that accepts the data, or False if none does."""
        self._drive("aw", addr=address, len=0)
        self._drive("w", data=value, strb=0b1111, last=1)
        return await self.offer("aw") and await self.offer("w")

    async def load(self, address: int, data: bytes) -> None:
        """Writes whole words to a memory."""
        self._drive("w", strb=0b1111)
        for start in range(0, len(data), _BURST):
            part = data[start : start + _BURST]
            self._drive("aw", addr=address + start, len=len(part) // 4 - 1)
            accepted = await self.offer("aw")
            for beat in range(0, len(part), 4):
                word = int.from_bytes(part[beat : beat + 4], "little")
                self._drive("w", data=word, last=beat + 4 == len(part))
                accepted = accepted and await self.offer("w")
            assert accepted, f"the port took no write to {address + start:#x}"

    async def read(self, address: int) -> int | None:
        """Reads a register; None if there was no answer, or an error."""
        self._drive("ar", addr=address, len=0)
        if not await self.offer("ar"):
            return None
        for _ in range(self._limit):
            valid, resp, data = await self._pins.edge("s_axi_rvalid", "s_axi_rresp", "s_axi_rdata")
            if valid:
                return None if resp else data
        return None

    async def offer(self, channel: str) -> bool:
        """Holds valid until the accelerator has taken the beat; tells whether it has."""
        self._drive(channel, valid=1)
        for _ in range(self._limit):
            (taken,) = await self._pins.edge(f"s_axi_{channel}ready")
            if taken:
                break
        else:
            taken = 0
        self._drive(channel, valid=0)
        return bool(taken)

    def _drive(self, channel: str, **values: int) -> None:
        for name, value in values.items():
            self._pins.drive(f"s_axi_{channel}{name}", int(value))
