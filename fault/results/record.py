"""A campaign's summary: its parts, and the JSON that keeps it.

summary = Summary.from_json(read_checked(path, "summary"))
summary.total["sdc1"]["value"], summary.structures["weight"].faults
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import msgspec

Share = Mapping[str, float]
"""``value``, ``low`` and ``high``."""
_ROUNDING = 1e-9
_CHECKED = ("sdc1", "avf")


@dataclass(frozen=True)
class StructureSummary:
    """Sums up the faults of a structure: how many showed what, and the shares with intervals;
    ``flip_flops`` of the bits are in registers.
    """

    bits: int
    faults: int
    counts: Mapping[str, int]
    shares: Mapping[str, Share]
    population: int = 0
    flip_flops: int | None = None


@dataclass(frozen=True)
class Group:
    """Sums up faults with something in common, such as their layer."""

    faults: int
    avf: Share
    sdc1: Share


@dataclass(frozen=True)
class Element:
    """Counts faults in one bit of one register of a processing element, and how many failed."""

    row: int
    col: int
    register: str
    bit: int
    faults: int
    avf: int
    sdc1: int


@dataclass(frozen=True)
class Suspect:
    """Names a register or memory whose faults changed the class."""

    signal: str
    structure: str
    faults: int
    sdc1: int
    share: Share


@dataclass(frozen=True)
class Latency:
    """Counts cycles to detection, where RTL saw it."""

    seen: int = 0
    median: float | None = None
    largest: int | None = None


@dataclass(frozen=True)
class Accuracy:
    """Images classified rightly without a fault, and what an upset takes from that."""

    golden: int
    images: int
    drop: Share
    drop_by_structure: Mapping[str, float]


@dataclass(frozen=True)
class Audit:
    """Counts faults that plain RTL computed again, and names the first that it disagrees with."""

    checked: int = 0
    disagreements: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Precision:
    """Variance of a share's estimate, and the faults drawn in proportion that would give it."""

    variance: float
    effective_faults: float | None


@dataclass(frozen=True)
class Stratum:
    """Faults that exist in a stratum, and that were drawn: a row's weight is their quotient."""

    population: int
    faults: int


@dataclass(frozen=True)
class Sampling:
    """Tells what a pilot decided: strata by name ``STRUCTURE.NUMBER``, number 0 of unused words."""

    precision: Mapping[str, Precision]
    strata: Mapping[str, Stratum]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Holds everything that a report shows.

    Attributes
    ----------
    population, faults : int
        Faults that exist, and that were drawn.
    cycles : int
        Moments in which faults may begin.
    total : Mapping
        Shares of the whole space, weighted by population.
    level : float or None
        Confidence for which intervals are computed, where looks have a part in ``confidence``.
    layers, phases : Mapping
        Shares by layer and phase, weighted by population.
    settings, versions : Mapping
        Of the campaign; empty where no campaign is stored.
    fit : Mapping or None
        Failures in time, by structure, with the raw rates ``per_megabit``.
    sampling : Sampling or None
        Of a campaign whose draws a pilot decided; ``counts`` are of unlike draws then.

    Raises
    ------
    ValueError
        A number or a share is outside its bounds.
    """

    population: int
    cycles: int
    bits: int = 0
    excluded_bits: Mapping[str, int] = field(default_factory=dict)
    faults: int
    images: int
    confidence: float = 0.95
    level: float | None = None
    structures: Mapping[str, StructureSummary]
    total: Mapping[str, Share]
    layers: Mapping[str, Group] = field(default_factory=dict)
    phases: Mapping[str, Group] = field(default_factory=dict)
    phase_by_structure: Mapping[str, Mapping[str, Group]] = field(default_factory=dict)
    bits_by_structure: Mapping[str, Mapping[str, Group]] = field(default_factory=dict)
    processing_elements: list[Element] = field(default_factory=list)
    died: Mapping[str, int] = field(default_factory=dict)
    paths: Mapping[str, int] = field(default_factory=dict)
    detection_latency: Latency = field(default_factory=Latency)
    accuracy: Accuracy | None = None
    worst: list[Suspect] = field(default_factory=list)
    audit: Audit = field(default_factory=Audit)
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    fit: Mapping[str, Mapping[str, float]] | None = None
    sampling: Sampling | None = None

    def __post_init__(self) -> None:
        counts = {"population": self.population, "cycles": self.cycles, "faults": self.faults}
        counts |= {"images": self.images - 1}
        for name, entry in self.structures.items():
            counts |= {f"bits of {name}": entry.bits, f"faults of {name}": entry.faults}
        for name, number in counts.items():
            if number < 0:
                raise ValueError(f"{name} is no such value")
        for shares in (self.total, *(entry.shares for entry in self.structures.values())):
            for kind in _CHECKED:
                low, value, high = (shares[kind][key] for key in ("low", "value", "high"))
                limits = -_ROUNDING, low, value + _ROUNDING, high + 2 * _ROUNDING, 1 + 3 * _ROUNDING
                if not all(a <= b for a, b in pairwise(limits)):
                    raise ValueError("a share is no interval from 0 to 1")

    def to_json(self) -> dict[str, Any]:
        """Returns plain data."""
        optional = ("fit", "sampling", "level")
        return {k: v for k, v in asdict(self).items() if k not in optional or v is not None}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Summary":
        """Reads plain data, also of earlier versions.

        Raises
        ------
        ValueError
            They are no summary.
        """
        try:
            return msgspec.convert(found, cls)
        except (msgspec.ValidationError, LookupError, TypeError) as error:
            raise ValueError(str(error)) from None
