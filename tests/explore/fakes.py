"""Measurements that only count, and a process that makes them."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from holdfast.base.cache import Cache
from holdfast.explore.runner import measure


@dataclass(frozen=True)
class Counted:
    """Leaves a mark in a folder each time that it is made."""

    number: int
    folder: Path
    seconds: float = 0.0
    sources: str = "1"

    kind: ClassVar[str] = "counted"

    def subject(self) -> dict[str, Any]:
        return {"number": self.number}

    def version(self) -> str:
        return self.sources

    def run(self) -> dict[str, Any]:
        time.sleep(self.seconds)
        with (self.folder / f"made-{self.number}").open("a") as stream:
            stream.write("x")
        return {"square": self.number**2}

    @property
    def made(self) -> int:
        """How often."""
        path = self.folder / f"made-{self.number}"
        return len(path.read_text()) if path.exists() else 0


def some(folder: Path, seconds: float = 0.0) -> list[Counted]:
    """Eight of them."""
    return [Counted(number, folder, seconds) for number in range(8)]


if __name__ == "__main__":
    place = Path(sys.argv[1])
    measure(some(place, 0.3), Cache(place / "cache"), int(sys.argv[2]))
