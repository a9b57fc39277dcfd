"""Says what a campaign is made of: its settings, its work units, and what a unit took."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from holdfast.base.errors import HoldfastError
from holdfast.fault.model.models.base import FaultModel
from holdfast.fault.peers.shortcuts import EXACT, Shortcuts
from holdfast.fault.sampling.division import Division
from holdfast.fault.sampling.plan import MOST_FAULTS
from holdfast.fault.sampling.sampler import Filters
from holdfast.nn.compiler.program import Program
from holdfast.nn.graph.guard_modes import GuardSettings
from holdfast.sim.netlist.netlist import Netlist

from .unit import UnitId

CONTROL, _MANY = ("requantizer", "sequencer", "host"), 1000
"""Structures of registers without a closed form, and how many faults in them are many."""
_MOST_UNITS = 1_000_000


@dataclass(frozen=True)
class CampaignSpec:
    """Holds what all units of a campaign share.

    Attributes
    ----------
    codes : int8 [N, C, H, W]
        The images; every fault is injected into each.
    labels : int64 [N] or None
    counts : dict of int
        Faults of every structure, or stratum.
    size : int
        Faults of a unit.
    audit : float
        Share of the faults that are computed again by plain RTL.
    golden : Path or None
        Folder of the golden runs; without it every process records its own.
    campaign : str
        Hash of the campaign's manifest, which its shards say; empty: the store adds it.
    patterns : bool
        Store what was wrong in the layer that was struck.
    division : Division or None
        Strata, by which ``counts`` are then; made for the share ``metric``.
    """

    program: Program
    netlist: Netlist
    guard: GuardSettings
    codes: NDArray[np.int8]
    labels: NDArray[np.int64] | None
    model: FaultModel
    filters: Filters
    counts: dict[str, int]
    size: int
    seed: int
    audit: float
    golden: Path | None = None
    campaign: str = ""
    spacing: int = 64
    shortcuts: Shortcuts = EXACT
    patterns: bool = False
    division: Division | None = None
    metric: str = "sdc1"

    @property
    def watches_registers(self) -> bool:
        """Tells whether to run the liveness analysis first: it costs seconds,
        and pays for single upsets of many.
        """
        here = [n for name, n in self.counts.items() if name.partition(".")[0] in CONTROL]
        many = sum(here) >= _MANY
        return many and self.model.single

    def units(self) -> list[UnitId]:
        """Lists all units, structures taking turns."""
        numbered = [
            (number, position, UnitId(structure, number))
            for position, (structure, count) in enumerate(self.counts.items())
            for number in range(-(-count // self.size))
        ]
        return [unit for _, _, unit in sorted(numbered)]

    def faults(self, unit: UnitId) -> int:
        """Counts the faults of a unit; none are left of one that does not exist."""
        return min(self.size, self.counts.get(unit.structure, 0) - unit.number * self.size)

    def check_size(self) -> None:
        """Raises a HoldfastError where a campaign is larger than any can be."""
        units = sum(-(-count // self.size) for count in self.counts.values())
        sizes = ("faults", sum(self.counts.values()), MOST_FAULTS), ("units", units, _MOST_UNITS)
        for what, found, most in sizes:
            if found > most:
                raise HoldfastError(f"a campaign has at most {most:,} {what}, not {found:,}.")

    def units_until(self, number: int, whole: Collection[str] = ()) -> list[UnitId]:
        """Lists so many units of every structure or stratum.

        Parameters
        ----------
        whole : collection of str
            Structures of which all faults are tried: all units, because some of them in order are
            no sample.
        """
        return [u for u in self.units() if u.number < number or u.structure in whole]


@dataclass
class UnitStatistics:
    """Says how long a unit took, in seconds, and what for.

    Attributes
    ----------
    faults : int
        Results: faults times images.
    shortcuts, audit : float
        The faults, and computing some of them again.
    audited, disagreements, carried : int
        Faults computed again, and those of them that differed; corruptions carried through the
        golden model.
    """

    faults: int = 0
    shortcuts: float = 0.0
    audit: float = 0.0
    audited: int = 0
    disagreements: int = 0
    carried: int = 0
    paths: dict[str, int] = field(default_factory=dict)

    def add(self, other: "UnitStatistics") -> None:
        """Adds what another unit took."""
        for name, value in vars(other).items():
            if name != "paths":
                setattr(self, name, getattr(self, name) + value)
        for path, count in other.paths.items():
            self.paths[path] = self.paths.get(path, 0) + count
