"""A recorded golden run, and where a faulty run that is compared with it was left."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Trace:
    """Records a golden run.

    Attributes
    ----------
    moments : uint64 [boundaries]
        Cycles of the golden run in which its state is kept; the last is its end.
    empty : uint8 [boundaries]
        1 where the pipeline is empty: what stale registers then hold is not used.
    states : uint8 [boundaries, bytes]
        Registers and inputs then.
    first : uint64 [boundaries + 1]
        Where the changes of each boundary begin.
    words, values : uint32
        Memory words that changed since the boundary before.
    counts : uint32 [cycles + 1]
        Guard violations counted.
    indices : uint64
        Cycle in which each descriptor but the first became the current one.
    begin : uint8
        Memories at cycle 0.
    """

    moments: NDArray[np.uint64]
    empty: NDArray[np.uint8]
    states: NDArray[np.uint8]
    first: NDArray[np.uint64]
    words: NDArray[np.uint32]
    values: NDArray[np.uint32]
    counts: NDArray[np.uint32]
    indices: NDArray[np.uint64]
    begin: NDArray[np.uint8]

    @property
    def cycles(self) -> int:
        """Returns the cycles to the interrupt."""
        return len(self.counts) - 1

    def save(self, folder: Path) -> None:
        """Writes the arrays, one file each."""
        folder.mkdir(parents=True, exist_ok=True)
        for field in fields(self):
            np.save(folder / f"{field.name}.npy", getattr(self, field.name))

    @classmethod
    def load(cls, folder: Path) -> "Trace":
        """Map saved arrays into memory, shared by all processes that do."""
        return cls(*(np.load(folder / f"{field.name}.npy", mmap_mode="r") for field in fields(cls)))


class Differences(NamedTuple):
    """Words of a memory that are wrong.

    Attributes
    ----------
    memory : str
    words, golden, faulty : int64 [N]
        Addresses, ascending, and what is and ought to be there, unsigned.
    """

    memory: str
    words: NDArray[np.int64]
    golden: NDArray[np.int64]
    faulty: NDArray[np.int64]


@dataclass(frozen=True)
class RunEnd:
    """Says where a faulty run was left.

    Attributes
    ----------
    kind : str
        ``"equal"``: live registers are golden; ``"ended"``: the interrupt came; ``"hang"``;
        ``"paused"``: a later part of the fault begins.
    cycle : int
        Of the faulty run.
    shift : int
        Cycles by which it is late.
    golden_cycle : int
        The cycle of the golden run that it was compared with.
    detected : int or None
        First cycle in which the guard has counted more than in the golden run.
    memories : list of Differences
        Words that differ.
    """

    kind: str
    cycle: int
    shift: int
    golden_cycle: int
    detected: int | None
    memories: list[Differences]
