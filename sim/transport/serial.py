"""An accelerator behind a serial line.

accelerator = Accelerator(open_serial(Link("/dev/ttyUSB0", baud=115200)))
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol
from zlib import crc32

from holdfast.base.extras import needed
from holdfast.base.options import check_range
from holdfast.base.text import printable
from holdfast.gen.layout import REGION_BITS
from holdfast.gen.port.uart_bridge import LINK_ADDRESS, LINK_BITS, Command

from .base import AccessRefused, BusError, Link

try:
    # Not an OSError; there is none on Windows.
    from termios import error as TerminalError
except ImportError:
    TerminalError = OSError  # type: ignore[assignment, misc]

_WORD = 4
_BURST = 128
# The bridge carries out so many words while the next command's first three bytes come, at any rate.
_CHECKED_BURST = 64
_ATTEMPTS = 3
_BAUD, _TIMEOUT = (1200, 12_000_000), (0.001, 3600)

_HAS_CHECKSUM = 0b1111 << LINK_BITS["checksum"][0]
_LOCKED = _HAS_CHECKSUM | 1 << LINK_BITS["locked"][0]
_UNLOCKED = (0, _HAS_CHECKSUM)
_NAP = 0.001
_WORDS = LINK_BITS["words"][0]


class ByteStream(Protocol):
    """Is a serial line, such as a ``serial.Serial`` with a timeout."""

    def write(self, data: bytes, /) -> Any:
        """Sends all bytes."""

    def flush(self) -> None:
        """Return when all bytes have been sent."""

    def read(self, size: int, /) -> bytes:
        """Receives `size` bytes, or those that came before a timeout."""


class UartTransport:
    """Speaks to a `gen.port.uart_bridge.UartBridge`.

    Parameters
    ----------
    stream : ByteStream
        Its read timeout has to be longer than the bridge's.
    checksum : bool or None
        Whether every command and answer has a checksum; None: where the bridge knows it. The bridge
        is then locked: until `unlock` it takes no command without.

    Attributes
    ----------
    checked : bool
        Whether they have.

    Raises
    ------
    BusError
        Nobody answers.
    """

    def __init__(self, stream: ByteStream, checksum: bool | None = None):
        self._stream = stream
        self._words = self._idle = 0
        # A command that an earlier client left half sent swallows the first attempt; the bridge
        # forgets it while the answer is missing.
        modes = (True, False) * 2 if checksum is None else (checksum,) * _ATTEMPTS
        for self.checked in modes:
            # That a bridge with a checksum did not answer to one was an accident.
            accepted = (_LOCKED,) if self.checked else (0,) if checksum is None else _UNLOCKED
            link = self._clear()
            if link is not None and link in accepted:
                self._idle = link
                return
            if checksum is False:
                self.unlock()
        kind = " with a checksum" if checksum else ""
        raise BusError(f"the accelerator does not answer on the serial line{kind}.")

    def write(self, address: int, data: bytes) -> None:
        """Writes whole words; the bridge's count tells whether all have arrived.

        With a checksum, what has not arrived in a memory is written again, at most twice. A
        register is not: the lost answer may be that to the start of a run.
        """
        _check_aligned(address, len(data))
        words = (self._words + len(data) // _WORD) % (1 << 16)
        for _ in range(_ATTEMPTS if self.checked and address >> REGION_BITS else 1):
            self._send(address, data)
            link = self._link()
            if link == self._idle | words << _WORDS:
                self._words = words
                return
            self._clear()
            words = len(data) // _WORD % (1 << 16)
            if link is not None and link >> LINK_BITS["write_refused"][0] & 1:
                raise AccessRefused(
                    f"the accelerator refused a write to {_span(address, len(data))}."
                )
        raise BusError(f"the serial line lost part of a write to {_span(address, len(data))}.")

    def read(self, address: int, length: int) -> bytes:
        """Reads whole words; with a checksum, what has no right answer is asked for three times."""
        _check_aligned(address, length)
        found = bytearray()
        burst = _CHECKED_BURST if self.checked else _BURST
        while len(found) < length:
            words = min(burst, (length - len(found)) // _WORD)
            for _ in range(_ATTEMPTS if self.checked else 1):
                part = self._ask(address + len(found), words)
                link = self._link() if part and bytes(_WORD * [0xFF]) in part else self._idle
                if part is not None and link is not None:
                    break
                self._clear()
            else:
                raise BusError(f"a read of {_span(address, length)} had no answer.")
            if link >> LINK_BITS["read_refused"][0] & 1:
                self._clear()
                raise AccessRefused(f"the accelerator refused a read of {_span(address, length)}.")
            found += part
        return bytes(found)

    def close(self) -> None:
        """Lets the bridge take commands of other clients again, where it has a checksum."""
        if self.checked:
            self.unlock()

    def unlock(self) -> None:
        """Lets the bridge take commands without a checksum again, such as those of LiteX's clients;
        if the line is gone there is nothing to do.
        """
        with suppress(BusError), self._line():
            self._stream.write(self._frame(Command.CHECKED_WRITE, LINK_ADDRESS, 1, bytes(_WORD)))
            self._stream.flush()

    def _send(self, address: int, data: bytes) -> None:
        """Write words and return when they are on the line."""
        command = Command.CHECKED_WRITE if self.checked else Command.WRITE_INCREMENTING
        size = _WORD * (_CHECKED_BURST if self.checked else _BURST)
        with self._line():
            for start in range(0, len(data), size):
                part = data[start : start + size]
                words = len(part) // _WORD
                self._stream.write(self._frame(command, address + start, words, _swap(part)))
            self._stream.flush()

    def _ask(self, address: int, words: int) -> bytes | None:
        """Words from `address` on, or None without a right answer."""
        command = Command.CHECKED_READ if self.checked else Command.READ_INCREMENTING
        with self._line():
            self._stream.write(self._frame(command, address, words))
            answer = self._stream.read((words + self.checked) * _WORD)
        if len(answer) != (words + self.checked) * _WORD:
            return None
        data, checksum = answer[: words * _WORD], answer[words * _WORD :]
        return None if self.checked and checksum != _checksum(data) else _swap(data)

    @staticmethod
    def _frame(command: Command, address: int, words: int, data: bytes = b"") -> bytes:
        frame = bytes([command, words]) + (address // _WORD).to_bytes(4, "big") + data
        return frame + _checksum(frame) if command.checked else frame

    def _link(self) -> int | None:
        answer = self._ask(LINK_ADDRESS, 1)
        return None if answer is None else int.from_bytes(answer, "little")

    def _clear(self) -> int | None:
        """Clear the bridge's status, and lock it where there is a checksum; returns its own word,
        None without an answer.
        """
        with self._line():
            # No answer is longer.
            self._stream.read(257 * _WORD)
        self._words = 0
        self._send(LINK_ADDRESS, int(self.checked).to_bytes(_WORD, "little"))
        return self._link()

    @contextmanager
    def _line(self) -> Iterator[None]:
        """Turns what goes wrong at the port into a BusError."""
        try:
            yield
        except (OSError, TerminalError) as error:
            reason = printable(error, 200)
            raise BusError(f"the serial line is gone: {reason}.") from None


class _Port:
    """A ``serial.Serial`` whose waits all end."""

    def __init__(self, port: Any, timeout: float):
        self._port = port
        self._timeout = timeout
        self.write, self.read = port.write, port.read

    def flush(self) -> None:
        """Return when all bytes have been sent; an OSError if none is for the timeout."""
        left = self._port.out_waiting
        end = time.monotonic() + self._timeout
        while left:
            if time.monotonic() > end:
                raise OSError(f"it has taken no byte for {self._timeout:g} s")
            time.sleep(_NAP)
            before, left = left, self._port.out_waiting
            if left < before:
                end = time.monotonic() + self._timeout


def open_serial(link: Link) -> UartTransport:
    """Opens a serial port, such as ``/dev/ttyUSB0`` or ``COM3``.

    Parameters
    ----------
    link : Link
        1,200 to 12,000,000 baud, and a timeout of 0.001 to 3600 seconds.

    Raises
    ------
    BusError
        The port cannot be opened, or nobody answers.
    HoldfastError
        A value out of its bounds, or pyserial is missing.
    """
    port, timeout = link.place, link.timeout
    check_range(*_BAUD, baud=link.baud)
    check_range(*_TIMEOUT, timeout=timeout)
    with needed():
        import serial
    try:
        line = serial.Serial(port, link.baud, timeout=timeout, write_timeout=timeout)
    # ValueError and OverflowError: a name with a NUL, a speed that the port does not have.
    except (OSError, ValueError, OverflowError, TerminalError) as error:
        raise BusError(f"cannot open {printable(port, 200)}: {printable(error, 200)}.") from None
    return UartTransport(_Port(line, timeout), link.checksum)


def _checksum(data: bytes) -> bytes:
    return crc32(data).to_bytes(4, "little")


def _swap(data: bytes) -> bytes:
    """Words with their bytes in the other order."""
    return b"".join(data[i : i + _WORD][::-1] for i in range(0, len(data), _WORD))


def _span(address: int, length: int) -> str:
    return f"{length} bytes from address {address:#x}"


def _check_aligned(address: int, length: int) -> None:
    if address % _WORD or length % _WORD or length <= 0:
        raise BusError(f"a serial line carries whole words, not {_span(address, length)}.")
