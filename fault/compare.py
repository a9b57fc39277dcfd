"""Differences and ratios of failure shares, with intervals.

    Pairs(before, after).difference(0.95)        # the same faults in two settings
    combined(pairs, weights, 0.95)               # weighted over strata
    independent(first, second, "sdc1")           # two campaigns with faults of their own

``before`` and ``after`` say of every fault and image whether it failed, bool [fault, image].
Several images under one fault are a cluster: counts are scaled to as many as are independent.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from math import exp, hypot, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.statistics import Estimate, quantile

__all__ = ["Pairs", "combined", "independent"]


@dataclass(frozen=True)
class Pairs:
    """Failures of the same faults, twice."""

    before: NDArray[np.bool_]
    after: NDArray[np.bool_]

    @cached_property
    def counts(self) -> tuple[float, float, float, float]:
        """Pairs that failed both times, only before, only after; and all. Independent ones."""
        both = int((self.before & self.after).sum())
        prevented = int((self.before & ~self.after).sum())
        caused = int((self.after & ~self.before).sum())
        faults, images = self.before.shape
        pairs = faults * images
        scale = 1.0
        if images > 1 and faults > 1 and prevented + caused:
            change = (self.after.mean(1) - self.before.mean(1)).var(ddof=1) / faults
            naive = (prevented + caused - (caused - prevented) ** 2 / pairs) / pairs**2
            scale = min(1.0, naive / change) if change else 1.0
        return both * scale, prevented * scale, caused * scale, pairs * scale

    def difference(self, confidence: float) -> Estimate:
        """Share after minus share before.

        Agresti and Min (2005): half a pair more in each of the four cells.
        """
        _, prevented, caused, pairs = self.counts
        z = quantile(confidence)
        b, c, n = prevented + 0.5, caused + 0.5, pairs + 2
        centre, margin = (c - b) / n, z * sqrt(b + c - (c - b) ** 2 / n) / n
        value = (caused - prevented) / pairs
        return Estimate(value, max(-1.0, centre - margin), min(1.0, centre + margin))

    def ratio(self, confidence: float) -> Estimate | None:
        """Share after over share before; None if nothing failed before."""
        return combined({"": self}, {"": 1.0}, confidence)[1]


def combined(
    pairs: Mapping[str, Pairs], weights: Mapping[str, float], confidence: float
) -> tuple[Estimate, Estimate | None]:
    """Difference and ratio of weighted shares, of strata with their weights.

    The difference combines the limits of the strata as `base.statistics.stratified` does. The
    ratio's interval is that of its logarithm by the delta method, with the multinomial covariance
    of the two shares of a stratum, and half a pair more in each of its four cells.
    """
    value = below = above = 0.0
    first = second = before = after = variance_before = variance_after = covariance = 0.0
    for name, stratum in pairs.items():
        w = weights[name]
        part = stratum.difference(confidence)
        value += w * part.value
        below += (w * (part.value - part.low)) ** 2
        above += (w * (part.high - part.value)) ** 2
        both, prevented, caused, n = stratum.counts
        first += w * (both + prevented) / n
        second += w * (both + caused) / n
        n += 2
        p, q = (both + prevented + 1) / n, (both + caused + 1) / n
        before, after = before + w * p, after + w * q
        variance_before += w * w * p * (1 - p) / n
        variance_after += w * w * q * (1 - q) / n
        covariance += w * w * ((both + 0.5) / n - p * q) / n
    difference = Estimate(value, value - sqrt(below), value + sqrt(above))
    if not first:
        return difference, None
    spread = variance_before / before**2 + variance_after / after**2
    spread -= 2 * covariance / (before * after)
    width = exp(quantile(confidence) * sqrt(max(0.0, spread)))
    ratio = second / first
    centre = after / before
    return difference, Estimate(ratio, min(ratio, centre / width), max(ratio, centre * width))


def independent(
    first: Mapping[str, Any], second: Mapping[str, Any], kind: str
) -> dict[str, dict[str, Any]]:
    """Differences of a share between two campaigns' summaries, by structure and ``total``.

    The intervals combine those of the two shares, the ratio's those of their logarithms (MOVER:
    Newcombe 1998, method 10; Zou and Donner 2008).

    Returns
    -------
    dict
        ``first``, ``second`` (shares with intervals, None where one has no such structure),
        ``difference`` (second minus first) and ``ratio`` (second over first; None where one of them
        has no failure).
    """
    names = dict.fromkeys([*first["structures"], *second["structures"]])
    shares = {
        name: [s["structures"].get(name, {}).get("shares", {}).get(kind) for s in (first, second)]
        for name in names
    }
    shares["total"] = [first["total"][kind], second["total"][kind]]
    result = {}
    for name, (a, b) in shares.items():
        difference = ratio = None
        if a and b:
            ratio = _quotient(a, b)
            change = b["value"] - a["value"]
            low = change - sqrt((b["value"] - b["low"]) ** 2 + (a["high"] - a["value"]) ** 2)
            high = change + sqrt((b["high"] - b["value"]) ** 2 + (a["value"] - a["low"]) ** 2)
            difference = asdict(Estimate(change, low, high))
        result[name] = {"first": a, "second": b, "difference": difference, "ratio": ratio}
    return result


def _quotient(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float] | None:
    if not (first["low"] > 0 and second["low"] > 0):
        return None
    (below_first, above_first), (below_second, above_second) = (
        (log(share["value"] / share["low"]), log(share["high"] / share["value"]))
        for share in (first, second)
    )
    value = second["value"] / first["value"]
    low = value * exp(-hypot(below_second, above_first))
    high = value * exp(hypot(above_second, below_first))
    return asdict(Estimate(value, low, high))
