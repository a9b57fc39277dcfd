"""How the driver's reads and writes reach an accelerator.

    accelerator = Accelerator(open_serial("/dev/ttyUSB0", 115200))

Whatever has the methods of `Transport` will do; `sim.fast_bus.FastBus` is the AXI port of a
simulated accelerator.
"""

from typing import Any, Protocol

from gen.errors import HoldfastError
from gen.uart_bridge import LINK_ADDRESS, LINK_BITS, Command

from .fast import FastModel

__all__ = [
    "BusError",
    "ByteStream",
    "SimulatedLine",
    "Transport",
    "UartTransport",
    "open_serial",
]

_WORD = 4
_BURST = 128


class BusError(HoldfastError):
    """An access was refused or had no answer."""


class Transport(Protocol):
    """Reads and writes of whole 32-bit words, lowest byte first.

    A transport that also has ``wait_interrupt(limit: int) -> bool`` waits for the end of a run:
    at most ``limit`` clock cycles, and tells whether the interrupt came. With others the driver
    asks the status register again and again.
    """

    def write(self, address: int, data: bytes) -> None:
        """Write bytes from `address` on; raises BusError if any is refused."""

    def read(self, address: int, length: int) -> bytes:
        """Read `length` bytes from `address` on; raises BusError if any is refused."""


class ByteStream(Protocol):
    """A serial line, such as a ``serial.Serial`` with a timeout."""

    def write(self, data: bytes, /) -> Any:
        """Send all bytes."""

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
        link = self._link()
        if link is None or link != (self._words + len(data) // _WORD) % (1 << 16) << 16:
            self._clear()
        else:
            self._words = link >> 16
            return
        if link is not None and link >> LINK_BITS["write_refused"] & 1:
            raise BusError(f"the accelerator refused a write to {_span(address, len(data))}.")
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
                raise BusError(f"the accelerator refused a read of {_span(address, length)}.")
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
        while self._stream.read(_WORD):
            pass
        self._words = 0
        self._send(Command.WRITE_INCREMENTING, LINK_ADDRESS, bytes(_WORD))
        link = self._link()
        return link if link == 0 else None


class SimulatedLine:
    """The pins ``uart_rx`` and ``uart_tx`` of a simulated design, seen from the other end.

    Parameters
    ----------
    model : FastModel
        Its ``uart_rx`` has to be high from reset on.
    divisor : int
        Clock cycles per bit in the design.
    limit : int
        Cycles after which `read` gives up.

    Attributes
    ----------
    period : float
        Clock cycles per sent bit.
    """

    def __init__(self, model: FastModel, divisor: int, limit: int):
        self.model = model
        self.period: float = divisor
        self._divisor = divisor
        self._limit = limit
        self._since = 0
        self._bits: list[int] = []
        self._received = bytearray()

    def write(self, data: bytes, stop: int = 1) -> None:
        """Send bytes; `stop` is the value of their stop bits."""
        for byte in data:
            begin = 0
            for index, bit in enumerate([0, *(byte >> n & 1 for n in range(8)), stop], start=1):
                end = round(index * self.period)
                self.model.poke("uart_rx", bit)
                self.wait(end - begin)
                begin = end
            self.model.poke("uart_rx", 1)

    def read(self, size: int) -> bytes:
        """Receive bytes, fewer if nothing comes for the limit."""
        silent = 0
        while len(self._received) < size and silent < self._limit:
            before = len(self._received)
            self.wait(self._divisor)
            silent = 0 if len(self._received) > before else silent + self._divisor
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def wait(self, cycles: int) -> None:
        """Let time pass."""
        # The transmitter's bits all last `divisor` cycles, so that one look in as many sees each.
        while cycles >= self._divisor - self._since:
            rest = self._divisor - self._since
            self.model.step(rest)
            cycles, self._since = cycles - rest, 0
            self._look(self.model.peek("uart_tx"))
        self.model.step(cycles)
        self._since += cycles

    def _look(self, bit: int) -> None:
        if self._bits or not bit:
            self._bits.append(bit)
        if len(self._bits) == 10:
            self._received.append(sum(b << n for n, b in enumerate(self._bits[1:9])))
            self._bits = []


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
