"""How the driver's reads and writes reach an accelerator.

    accelerator = Accelerator(open_serial("/dev/ttyUSB0", 115200))

Whatever has the methods of `Transport` will do; `sim.fast_bus.FastBus` is the AXI port of a
simulated accelerator.
"""

from typing import Any, Protocol

from base.errors import HoldfastError
from gen.uart_bridge import LINK_ADDRESS, LINK_BITS, Command

__all__ = ["AccessRefused", "BusError", "ByteStream", "Transport", "UartTransport", "open_serial"]

_WORD = 4
_BURST = 128


class BusError(HoldfastError):
    """An access was refused or had no answer."""


class AccessRefused(BusError):
    """The accelerator answered that the address cannot be accessed, or not now."""


class Transport(Protocol):
    """Reads and writes of whole 32-bit words, lowest byte first.

    A transport that also has ``wait_interrupt(limit: int) -> bool`` waits for the end of a run:
    at most ``limit`` clock cycles, and tells whether the interrupt came. With others the driver
    asks the status register again and again.
    """

    def write(self, address: int, data: bytes) -> None:
        """Write bytes from `address` on; raises AccessRefused if any is refused."""

    def read(self, address: int, length: int) -> bytes:
        """Read `length` bytes from `address` on; raises AccessRefused if any is refused."""


class ByteStream(Protocol):
    """A serial line, such as a ``serial.Serial`` with a timeout."""

    def write(self, data: bytes, /) -> Any:
        """Send all bytes."""

    def flush(self) -> None:
        """Return when all bytes have been sent."""

    def read(self, size: int, /) -> bytes:
        """Receive `size` bytes, or those that came before a timeout."""


class UartTransport:
    """Client of `gen.uart_bridge.UartBridge`.

    Parameters
    ----------
    stream : ByteStream
        Its read timeout has to be longer than the bridge's.

    Raises
    ------
    BusError
        Nobody answers.
    """

    def __init__(self, stream: ByteStream):
        self._stream = stream
        self._words = 0
        # A command that an earlier client left half sent swallows the first attempt; the bridge
        # forgets it while the answer is missing.
        for _ in range(3):
            if self._clear() is not None:
                return
        raise BusError("the accelerator does not answer on the serial line.")

    def write(self, address: int, data: bytes) -> None:
        """Write whole words; the bridge's count tells whether all have arrived."""
        _check_aligned(address, len(data))
        for start in range(0, len(data), _BURST * _WORD):
            part = data[start : start + _BURST * _WORD]
            self._send(Command.WRITE_INCREMENTING, address + start, part)
        self._stream.flush()
        link = self._link()
        if link is None or link != (self._words + len(data) // _WORD) % (1 << 16) << 16:
            self._clear()
        else:
            self._words = link >> 16
            return
        if link is not None and link >> LINK_BITS["write_refused"] & 1:
            raise AccessRefused(f"the accelerator refused a write to {_span(address, len(data))}.")
        raise BusError(f"the serial line lost part of a write to {_span(address, len(data))}.")

    def read(self, address: int, length: int) -> bytes:
        """Read whole words."""
        _check_aligned(address, length)
        found = bytearray()
        while len(found) < length:
            words = min(_BURST, (length - len(found)) // _WORD)
            part = self._ask(address + len(found), words)
            if part is None:
                self._clear()
                raise BusError(f"a read of {_span(address, length)} had no answer.")
            found += part
        if bytes(_WORD * [0xFF]) in found:
            link = self._link()
            if link is None or link >> LINK_BITS["read_refused"] & 1:
                self._clear()
                raise AccessRefused(f"the accelerator refused a read of {_span(address, length)}.")
        return bytes(found)

    def _send(self, command: Command, address: int, data: bytes) -> None:
        header = bytes([command, len(data) // _WORD]) + (address // _WORD).to_bytes(4, "big")
        self._stream.write(header + _swap(data))

    def _ask(self, address: int, words: int) -> bytes | None:
        """Words from `address` on, or None without an answer."""
        header = bytes([Command.READ_INCREMENTING, words])
        self._stream.write(header + (address // _WORD).to_bytes(4, "big"))
        answer = self._stream.read(words * _WORD)
        return _swap(answer) if len(answer) == words * _WORD else None

    def _link(self) -> int | None:
        answer = self._ask(LINK_ADDRESS, 1)
        return None if answer is None else int.from_bytes(answer, "little")

    def _clear(self) -> int | None:
        """Clear the bridge's status; None unless it then reads as zero."""
        # No answer is longer.
        self._stream.read(256 * _WORD)
        self._words = 0
        self._send(Command.WRITE_INCREMENTING, LINK_ADDRESS, bytes(_WORD))
        link = self._link()
        return link if link == 0 else None


def open_serial(port: str, baud: int = 115200, timeout: float = 1.0) -> UartTransport:
    """The accelerator on a serial port.

    Parameters
    ----------
    port : str
        Such as ``/dev/ttyUSB0`` or ``COM3``.
    timeout : float
        Seconds without an answer.
    """
    try:
        import serial
    except ImportError:
        raise HoldfastError("a serial port needs pyserial: pip install pyserial.") from None
    try:
        return UartTransport(serial.Serial(port, baud, timeout=timeout))
    except serial.SerialException as error:
        raise BusError(f"cannot open {port}: {error}.") from None


def _swap(data: bytes) -> bytes:
    """Words with their bytes in the other order."""
    return b"".join(data[i : i + _WORD][::-1] for i in range(0, len(data), _WORD))


def _span(address: int, length: int) -> str:
    return f"{length} bytes from address {address:#x}"


def _check_aligned(address: int, length: int) -> None:
    if address % _WORD or length % _WORD or length <= 0:
        raise BusError(f"a serial line carries whole words, not {_span(address, length)}.")
