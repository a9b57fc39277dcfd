"""Says what a fault model says: which faults there are, what they are called and what they do."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from holdfast.base.errors import HoldfastError
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import FaultSpace, Site, State

_MOST_BITS = 4


class FaultModel(ABC):
    """Draws faults of one kind.

    Attributes
    ----------
    prefix : str
        Begins the ids of its faults; empty: ids are those of `Fault`.
    leaves_out : str
        What campaigns of this model do not inject.
    """

    prefix: ClassVar[str] = ""
    leaves_out: ClassVar[str] = (
        "Single-event transients in combinational logic; configuration memory of an FPGA; state "
        "outside the accelerator."
    )

    @property
    def single(self) -> bool:
        """Tells whether every fault inverts one bit once."""
        return False

    @abstractmethod
    def places(self, space: FaultSpace, state: State) -> int:
        """Counts the faults that can begin in a register or memory in one cycle."""

    @abstractmethod
    def fault(self, space: FaultSpace, state: State, place: int, cycle: int) -> Fault:
        """Realizes the fault at a place, 0 to ``places - 1``, that begins in a cycle."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Returns what tells it from other models, for manifests and reports."""

    @classmethod
    def parse(cls, space: FaultSpace, text: str) -> Fault:
        """Reads an id that begins with the model's prefix; the caller checks bits and cycle.

        Raises
        ------
        HoldfastError
            The text is no id.
        """
        return Fault.parse(text)


@dataclass(frozen=True)
class AdjacentBits(FaultModel):
    """Hits adjacent bits of one register or memory word.

    Attributes
    ----------
    bits : int
        How many, 1 to 4.

    Raises
    ------
    HoldfastError
        A value is outside its bounds.
    """

    bits: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= _MOST_BITS:
            raise HoldfastError(f"a fault has 1 to {_MOST_BITS} adjacent bits, not {self.bits}.")

    def places(self, space: FaultSpace, state: State) -> int:
        return max(0, state.width - self.bits + 1) * state.depth

    def fault(self, space: FaultSpace, state: State, place: int, cycle: int) -> Fault:
        word, bit = divmod(place, state.width - self.bits + 1)
        address = word if state.kind == "memory" else None
        bits = tuple(Site(state.signal, address, bit + k) for k in range(self.bits))
        return Fault(bits, cycle, **self.held())

    def held(self) -> dict[str, Any]:
        """Returns at which value the bits are held, and for how long."""
        return {"stuck": None, "duration": 0}

    def settings(self) -> dict[str, Any]:
        return {"bits": self.bits, **self.held()}
