"""Bits that are held at a value."""

from dataclasses import dataclass
from typing import Any

from holdfast.base.errors import HoldfastError

from .base import AdjacentBits


@dataclass(frozen=True)
class StuckAtModel(AdjacentBits):
    """Holds bits at a value, whatever is written.

    Attributes
    ----------
    value : int
        0 or 1.
    duration : int
        Cycles; 0: to the end of the inference.
    """

    value: int = 0
    duration: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.value not in (0, 1):
            raise HoldfastError(f"a bit can be stuck at 0 or 1, not {self.value}.")
        if self.duration < 0:
            raise HoldfastError(f"a duration is 0 or more cycles, not {self.duration}.")

    def held(self) -> dict[str, Any]:
        return {"stuck": self.value, "duration": self.duration}
