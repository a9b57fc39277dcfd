"""Bits that are inverted once."""

from dataclasses import dataclass

from .base import AdjacentBits


@dataclass(frozen=True)
class UpsetModel(AdjacentBits):
    """Inverts one bit, or adjacent bits together; the next write heals them."""

    @property
    def single(self) -> bool:
        return self.bits == 1
