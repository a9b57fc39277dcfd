"""The best point within a budget.

best, *others = recommend(points, Budget(max_lut=9000, min_accuracy=80, max_sdc=0.01))
best.misses                                     # empty if it keeps the budget
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown

__all__ = ["Budget", "Candidate", "recommend"]


@dataclass(frozen=True)
class Budget:
    """Limits; None: none.

    Attributes
    ----------
    max_lut : int
        Look-up tables on ``target``.
    min_accuracy : float
        In per cent; the lower end of the interval has to reach it.
    max_sdc : float
        Share of SDC-1; the upper end of the interval may not pass it.
    target : str
        FPGA family; empty: the study's first.
    """

    max_lut: int | None = None
    min_accuracy: float | None = None
    max_sdc: float | None = None
    target: str = ""

    def __post_init__(self) -> None:
        if self.max_lut is not None and self.max_lut < 1:
            raise HoldfastError(f"--max-lut must be at least 1, not {self.max_lut}.")
        if self.min_accuracy is not None and not 0 <= self.min_accuracy <= 100:
            raise HoldfastError(f"--min-accuracy must be 0 to 100, not {self.min_accuracy}.")
        if self.max_sdc is not None and not 0 <= self.max_sdc <= 1:
            raise HoldfastError(f"--max-sdc must be 0 to 1 or 0% to 100%, not {self.max_sdc}.")


@dataclass(frozen=True)
class Candidate:
    """A point against a budget.

    Attributes
    ----------
    lut : int
    accuracy, sdc1 : float or None
        Ends of the intervals that count; None: not measured.
    misses : dict of float
        By limit that is not kept: how far beyond it, as a share of the limit; infinite where
        nothing was measured.
    """

    point: Mapping[str, Any]
    lut: int
    accuracy: float | None
    sdc1: float | None
    misses: dict[str, float]

    @property
    def distance(self) -> tuple[int, float]:
        """Limits that are not kept, and how far beyond them in all."""
        return len(self.misses), sum(self.misses.values())


def recommend(points: Sequence[Mapping[str, Any]], budget: Budget) -> list[Candidate]:
    """All points: those that keep the budget first, by latency and then by look-up tables; the
    others by the limits that they miss and by how much.

    Raises
    ------
    HoldfastError
        The target was not explored.
    """
    candidates = [_candidate(point, budget) for point in points]
    return sorted(candidates, key=lambda c: (c.distance, c.point["cycles"], c.lut))


def _candidate(point: Mapping[str, Any], budget: Budget) -> Candidate:
    area = point["area"]
    target = budget.target or next(iter(area))
    if target not in area:
        raise HoldfastError(
            f"target {shown(target)} was not explored; explored were {', '.join(area)}."
        )
    lut = area[target]["lut"]
    sets = (point["accuracy"] or {}).get("sets")
    accuracy = sets[0]["low"] if sets else None
    campaign = point["campaign"]
    sdc1 = campaign["all"]["total"]["sdc1"]["high"] if campaign else None
    misses = {}
    if budget.max_lut is not None and lut > budget.max_lut:
        misses["look-up tables"] = _beyond(lut - budget.max_lut, budget.max_lut)
    if budget.min_accuracy is not None and (accuracy is None or accuracy < budget.min_accuracy):
        short = None if accuracy is None else budget.min_accuracy - accuracy
        misses["accuracy"] = _beyond(short, budget.min_accuracy)
    if budget.max_sdc is not None and (sdc1 is None or sdc1 > budget.max_sdc):
        misses["SDC-1"] = _beyond(None if sdc1 is None else sdc1 - budget.max_sdc, budget.max_sdc)
    return Candidate(point, lut, accuracy, sdc1, misses)


def _beyond(by: float | None, limit: float) -> float:
    return float("inf") if by is None else by / (limit or 1)
