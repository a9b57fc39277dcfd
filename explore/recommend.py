"""The best point within a budget.

best, *others = recommend(points, Budget({"lut": 9000, "accuracy": 80, "sdc1": 0.01}))
best.misses                                     # empty if it keeps the budget
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.base import options
from holdfast.base.checked import read_checked
from holdfast.base.errors import HoldfastError
from holdfast.base.text import printable
from holdfast.explore.objectives.base import Objective
from holdfast.explore.objectives.registry import OBJECTIVES
from holdfast.gen.config import AcceleratorConfig

from .exploration import FORMAT

_FIRST = ("cycles", "lut")
"""What decides between points that keep the budget, and is told first."""


@dataclass(frozen=True)
class Budget:
    """Limits.

    Attributes
    ----------
    limits : dict of float
        By objective. Of a value with an interval the end that is worse has to keep it.
    target : str
        FPGA family; empty: the study's first.

    Raises
    ------
    HoldfastError
        A limit is outside of its bounds.
    """

    limits: Mapping[str, float] = field(default_factory=dict)
    target: str = ""

    def __post_init__(self) -> None:
        for name, limit in self.limits.items():
            options.check_range(*OBJECTIVES[name].bounds, **{OBJECTIVES[name].option: limit})


@dataclass(frozen=True)
class Candidate:
    """Compares a point with a budget.

    Attributes
    ----------
    values : dict of float or None
        By objective, the ends of the intervals that count; None: not measured.
    misses : dict of float
        By objective whose limit is not kept: how far beyond it, as a share of the limit; infinite
        where nothing was measured.
    """

    point: Mapping[str, Any]
    values: dict[str, float | None]
    misses: dict[str, float]

    @property
    def rank(self) -> tuple[Any, ...]:
        """Limits that are not kept, how far beyond them in all, and what decides then."""
        decisive = (self.values[name] for name in _FIRST)
        return len(self.misses), sum(self.misses.values()), *decisive

    def figures(self) -> str:
        """Returns every value that was measured, in words."""
        names = (*_FIRST, *(name for name in OBJECTIVES if name not in _FIRST))
        values = ((OBJECTIVES[name], self.values[name]) for name in names)
        return ", ".join(o.told(value) for o, value in values if value is not None)

    def missed(self, budget: Budget) -> str:
        """Returns every limit that is missed, in words."""
        told = []
        for name in self.misses:
            objective, limit = OBJECTIVES[name], budget.limits[name]
            unit = f" {objective.unit}" if objective.unit else ""
            value = objective.text(self.values[name])
            told.append(f"{objective.title} with {value} of {objective.text(limit)}{unit}")
        return ", ".join(told)

    def toml(self) -> str:
        """Returns its accelerator as TOML."""
        point = self.point
        config = AcceleratorConfig(**point["config"])
        return (
            f"# {printable(point['name'])}: {self.figures()}.\n"
            f"# Network {printable(point['file'])}, guard {point['guard']}.\n{config.to_toml()}"
        )


def recommend(points: Sequence[Mapping[str, Any]], budget: Budget) -> list[Candidate]:
    """Returns all points: those that keep the budget first, by latency and then by look-up tables;
    the others by the limits that they miss and by how much.

    Raises
    ------
    HoldfastError
        The target was not explored.
    """
    return sorted((_candidate(point, budget) for point in points), key=lambda c: c.rank)


def explored(path: Path, budget: Budget) -> list[Candidate]:
    """Returns the points of an exploration's summary against a budget, at least one.

    Raises
    ------
    HoldfastError
        There is no such summary, it is damaged or of another version, or the target was not
        explored.
    """
    name = printable(path)
    if not path.exists():
        raise HoldfastError(f"there is no {name}; `holdfast explore` writes it.")
    anew = "`holdfast explore` writes it anew."
    try:
        summary = read_checked(path, "exploration")
    except HoldfastError as error:
        raise HoldfastError(f"{str(error).removesuffix('.')}; {anew}") from None
    if summary.get("format") != FORMAT:
        raise HoldfastError(f"{name} is of another version; {anew}")
    try:
        for point in summary["points"]:
            _check_point(point)
        best, *others = recommend(summary["points"], budget)
        for candidate in (best, *others):
            candidate.toml()
        return [best, *others]
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        raise HoldfastError(f"{name} is damaged; {anew}") from None


def _check_point(point: dict[str, Any]) -> None:
    """Raises TypeError, KeyError or HoldfastError if a point lacks what is told of it."""
    AcceleratorConfig(**point["config"])
    for names, kind in ((("name", "file", "guard"), str), (("cycles",), int)):
        for name in names:
            if not isinstance(point[name], kind):
                raise TypeError(name)


def _candidate(point: Mapping[str, Any], budget: Budget) -> Candidate:
    values: dict[str, float | None] = {}
    misses = {}
    for name, objective in OBJECTIVES.items():
        found = objective.value(point, budget.target)
        value = (found.low if objective.larger else found.high) if found else None
        values[name] = value
        beyond = _beyond(objective, value, budget.limits.get(name))
        if beyond:
            misses[name] = beyond
    return Candidate(point, values, misses)


def _beyond(objective: Objective, value: float | None, limit: float | None) -> float:
    """Returns how far a value is beyond a limit, as a share of the limit; 0: it keeps it."""
    if limit is None:
        return 0
    if value is None:
        return float("inf")
    by = limit - value if objective.larger else value - limit
    return max(0, by / (limit or 1))
