"""A simulated serial line on which chosen bits are flipped.

    session = Session(model, drive)
    session.bits                  # sent and received in a run without a fault
    session.run({17, 4000})       # what `drive` returns, or the HoldfastError that it raises

Up to the first flip nothing is simulated again: the accesses are those of the run without a fault.
"""

from collections.abc import Callable, Collection
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from holdfast.base.errors import HoldfastError
from holdfast.sim.compiled.model import CompiledModel, Snapshot
from tests.sim.simulated_line import SimulatedLine

BITS = 9
"""Of a byte: the eighth is its stop bit."""

_MOST = 20_000
"""Accesses after which the host is said to hang."""


@dataclass(frozen=True)
class Access:
    """One access to the line in the run without a fault, and the state before it."""

    sent: bytes
    answer: bytes
    first_bit: int
    model: Snapshot
    line: dict[str, Any]


class Session:
    """A recorded run, to be run again with flips.

    Parameters
    ----------
    model : CompiledModel
        After its reset.
    drive : callable
        Takes a ``ByteStream``.
    """

    def __init__(self, model: CompiledModel, divisor: int, limit: int, drive: Callable[[Any], Any]):
        self.line = SimulatedLine(model, divisor, limit)
        self._drive = drive
        self.accesses: list[Access] = []
        self.bits = 0
        self.result = drive(_Recording(self))

    def run(self, flips: Collection[int]) -> Any:
        """With the bits flipped whose numbers are given, counted over both directions."""
        try:
            return self._drive(_Flipping(self, flips))
        except HoldfastError as error:
            return error

    def state(self) -> dict[str, Any]:
        return deepcopy({k: v for k, v in vars(self.line).items() if k != "model"})


class _Recording:
    def __init__(self, session: Session):
        self._session = session

    def write(self, data: bytes) -> None:
        self._access(data, 0)

    def read(self, size: int) -> bytes:
        return self._access(b"", size)

    def flush(self) -> None:
        pass

    def _access(self, sent: bytes, size: int) -> bytes:
        session = self._session
        before = session.line.model.snapshot(), session.state()
        session.line.write(sent)
        answer = session.line.read(size)
        session.accesses.append(Access(sent, answer, session.bits, *before))
        session.bits += BITS * len(sent + answer)
        return answer


class _Flipping:
    def __init__(self, session: Session, flips: Collection[int]):
        self._session, self._flips = session, flips
        self._bit = self._count = 0
        self._live = False

    def write(self, data: bytes) -> None:
        if self._recorded(data) is None:
            for byte in data:
                mask, broken = self._flipped()
                self._session.line.write(bytes([byte ^ mask]), stop=int(not broken))

    def read(self, size: int) -> bytes:
        answer = self._recorded(b"")
        if answer is None:
            answer = b""
            for byte in self._session.line.read(size):
                mask, broken = self._flipped()
                # A byte without its stop bit is not handed on.
                answer += b"" if broken else bytes([byte ^ mask])
        return answer

    def flush(self) -> None:
        pass

    def _recorded(self, sent: bytes) -> bytes | None:
        """The answer as recorded, or None from the first flip on."""
        session = self._session
        assert self._count < _MOST, "the host hangs"
        if not self._live:
            access = session.accesses[self._count]
            assert access.sent == sent
            end = access.first_bit + BITS * len(access.sent + access.answer)
            if not any(access.first_bit <= flip < end for flip in self._flips):
                self._count += 1
                self._bit = end
                return access.answer
            session.line.model.restore(access.model)
            vars(session.line).update(deepcopy(access.line))
            self._live = True
        self._count += 1
        return None

    def _flipped(self) -> tuple[int, bool]:
        """Which bits of the next byte are flipped, and whether its stop bit is."""
        first, self._bit = self._bit, self._bit + BITS
        return sum(1 << n for n in range(8) if first + n in self._flips), first + 8 in self._flips
