"""Says what carries the driver's reads and writes to an accelerator.

Whatever has the methods of `Transport` will do. A kind that `holdfast run` can open is a file with
a function of a `Link`, listed in `sim.transport.registry`.
"""

from dataclasses import dataclass, field
from typing import Protocol

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig


class BusError(HoldfastError):
    """An access was refused or had no answer."""


class AccessRefused(BusError):
    """The accelerator answered that the address cannot be accessed, or not now."""


class Transport(Protocol):
    """Reads and writes of whole 32-bit words, lowest byte first.

    A transport that also has ``wait_interrupt(limit: int) -> bool`` waits for the end of a run:
    at most ``limit`` clock cycles, and tells whether the interrupt came. With others the driver
    asks the status register again and again.

    One that has ``close()`` is closed after its last access by whoever opened it.

    One with a true ``checked`` loses and changes nothing. Over others the driver reads back what it
    writes to registers, and believes a status only when it has read it twice.
    """

    def write(self, address: int, data: bytes) -> None:
        """Writes bytes from `address` on; raises AccessRefused if any is refused."""

    def read(self, address: int, length: int) -> bytes:
        """Reads `length` bytes from `address` on; raises AccessRefused if any is refused."""


@dataclass(frozen=True)
class Link:
    """Holds what a transport is opened with.

    Attributes
    ----------
    place : str
        Where the accelerator is, in the words of the transport: a port, a device, nothing.
    config : AcceleratorConfig
        Of the accelerator.
    baud : int
        Bits per second of a serial line.
    timeout : float
        Seconds that an answer may take.
    checksum : bool or None
        Whether a line has checksums; None: where the other side knows them.
    """

    place: str
    config: AcceleratorConfig = field(default_factory=AcceleratorConfig)
    baud: int = 115200
    timeout: float = 1.0
    checksum: bool | None = None
