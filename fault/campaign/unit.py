"""A work unit of a campaign: some faults of one structure."""

import re
from dataclasses import dataclass

_NUMBER = re.compile("[0-9]{1,12}")


@dataclass(frozen=True, order=True)
class UnitId:
    """Names a work unit: some faults of a structure, such as ``weight-000003``, or of a stratum."""

    structure: str
    number: int

    def __str__(self) -> str:
        return f"{self.structure}-{self.number:06d}"

    @classmethod
    def parse(cls, text: str) -> "UnitId | None":
        """Reads a unit's name; None if the text is none."""
        structure, _, number = text.rpartition("-")
        return cls(structure, int(number)) if _NUMBER.fullmatch(number) else None
