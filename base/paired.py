"""Differences and ratios of failure shares, with intervals.

    Pairs(before, after).difference(0.95)        # the same faults in two settings
    combined(pairs, weights, 0.95)               # weighted over strata
    independent(first, second, "sdc1")           # two campaigns with faults of their own

``before`` and ``after`` say of every fault and image whether it failed, bool [fault, image].
Several images under one fault are a cluster: the fault is the unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import hypot, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from .statistics import Estimate, Sample, limits

_MOST = 1 - 1e-9


@dataclass(frozen=True)
class Ratio:
    """Holds a ratio and its interval; None where it has no bound, because the divisor may be 0."""

    value: float | None
    low: float
    high: float | None


@dataclass(frozen=True)
class Pairs:
    """Failures of the same faults, twice.

    Attributes
    ----------
    whole : bool
        Every fault that exists was tried, once: nothing is estimated.
    """

    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    whole: bool = False

    @cached_property
    def kinds(self) -> tuple[NDArray, NDArray, NDArray]:
        """Shares of a fault's images that failed before, and after, and how many faults had these;
        each [kind].
        """
        shares = np.stack([self.before.mean(1), self.after.mean(1)])
        found, counts = np.unique(shares, axis=1, return_counts=True)
        return found[0], found[1], counts

    def difference(self, confidence: float) -> Estimate:
        """Returns the share after minus share before."""
        return combined({"": self}, {"": 1.0}, confidence)[0]

    def ratio(self, confidence: float) -> Ratio | None:
        """Returns the share after over share before; None if nothing failed."""
        return combined({"": self}, {"": 1.0}, confidence)[1]


def combined(
    pairs: Mapping[str, Pairs], weights: Mapping[str, float], confidence: float
) -> tuple[Estimate, Ratio | None]:
    """Returns the difference and ratio of weighted shares, of strata with their weights (1
    together).

    The difference's limits are those of :func:`change`. The ratio's are the factors that
    may be right: with which *after - factor x before* may be 0 on average (Fieller 1954). Where
    nothing failed after, the interval is the one-sided upper limit of the same confidence, where
    nothing failed before the one-sided lower limit.
    """
    strata = [(pair.kinds, weights[name], pair.whole) for name, pair in pairs.items()]
    first, second = (
        sum(w * float(kinds[side] @ kinds[2] / kinds[2].sum()) for kinds, w, _ in strata)
        for side in (0, 1)
    )
    shares, known = [w for _, w, _ in strata], all(whole for _, _, whole in strata)

    def about(factor: float, tail: float) -> tuple[Any, Any]:
        more, less = [], []
        for (before, after, counts), _, whole in strata:
            gap = after - factor * before
            more.append(_sample(np.maximum(gap, 0), counts, 1, whole))
            less.append(_sample(np.maximum(-gap, 0), counts, factor, whole))
        return change(more, less, shares, factor, tail)

    tail = (1 - confidence) / 2
    gap = sum(w * float((b - a) @ counts / counts.sum()) for (a, b, counts), w, _ in strata)
    difference = Estimate(gap, *(float(limit) for limit in about(1.0, tail)))
    if not first and not second:
        return difference, None
    if not first or not second:
        tail *= 2

    def bound(side: int) -> float | None:
        """Returns where a limit of the difference passes 0: on a scale of 0 to 1, in which the
        ratio is second / (first + second).
        """

        def at(place: float) -> float:
            return float(about(place / (1 - place), tail)[side])

        inside, outside = min(_MOST, second / (first + second)), (0.0, _MOST)[side]
        if known:
            return second / first if first else None
        if at(inside) * at(outside) > 0:
            return None
        place = brentq(at, *sorted((inside, outside)), xtol=1e-15)
        return place / (1 - place)

    low = (bound(0) or 0.0) if second else 0.0
    return difference, Ratio(second / first, low, bound(1)) if first else Ratio(None, low, None)


def change(
    more: Sequence[Sample],
    less: Sequence[Sample],
    weights: Sequence[float],
    factor: float,
    tail: float,
) -> tuple[Any, Any]:
    """Limits of the weighted mean of *after - factor x before*, whose positive and negative parts
    these are.

    A fault has one of the two. Each part has the limits of `base.statistics.limits`; they are
    combined by MOVER with the correlation of the parts (Zou and Donner 2008).

    Parameters
    ----------
    more : sequence of Sample
        By stratum: of what is above 0.
    less : sequence of Sample
        Of what is below 0, divided by ``factor``.
    """
    up, down = limits(more, weights, tail), limits(less, weights, tail)
    gain, loss = (sum(w * s.mean for w, s in zip(weights, part, strict=True))
                  for part in (more, less))  # fmt: skip
    spreads = [0.0, 0.0]
    together: Any = 0.0
    for w, a, b in zip(weights, more, less, strict=True):
        scale = 0.0 if a.whole else w * w / a.faults
        spreads = [spreads[0] + scale * a.variance, spreads[1] + scale * b.variance]
        together = together - scale * a.mean * b.mean
    both = np.sqrt(spreads[0] * spreads[1])
    alike = np.where(both > 0, together / np.where(both > 0, both, 1), 0)
    value = gain - factor * loss

    def reach(one: Any, other: Any) -> Any:
        other = factor * other
        return np.sqrt(one**2 + other**2 - 2 * alike * one * other)

    return (
        value - reach(gain - up[0], down[1] - loss),
        value + reach(up[1] - gain, loss - down[0]),
    )


def _sample(values: NDArray, counts: NDArray, most: float, whole: bool) -> Sample:
    """Makes a sample of values up to ``most``, brought to 0..1."""
    values = values / most if most else values
    faults = int(counts.sum())
    mean = float(values @ counts) / faults
    return Sample(faults, mean, float((values - mean) ** 2 @ counts) / faults, whole)


def independent(
    first: Mapping[str, Any], second: Mapping[str, Any], kind: str
) -> dict[str, dict[str, Any]]:
    """Differences of a share between two campaigns' summaries, by structure and ``total``.

    The intervals combine those of the two shares (MOVER: Newcombe 1998, method 10; Zou and Donner
    2008; of ratios, Donner and Zou 2012).

    Returns
    -------
    dict
        ``first``, ``second`` (shares with intervals, None where one has no such structure),
        ``difference`` (second minus first) and ``ratio`` (second over first; its ``value`` and
        ``high`` are None where the first may have no failure, itself where neither has one).
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
            low = change - hypot(b["value"] - b["low"], a["high"] - a["value"])
            high = change + hypot(b["high"] - b["value"], a["value"] - a["low"])
            difference = asdict(Estimate(change, low, high))
        result[name] = {"first": a, "second": b, "difference": difference, "ratio": ratio}
    return result


def _quotient(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, Any] | None:
    p, q = first["value"], second["value"]
    if not p and not q:
        return None

    def root(one: float, other: float) -> float:
        return sqrt(max(0.0, (p * q) ** 2 - one * (2 * q - one) * other * (2 * p - other)))

    least, most = second["low"], first["low"]
    low = least * (2 * q - least) / (p * q + root(least, first["high"])) if q else 0.0
    if not most > 0:
        return asdict(Ratio(q / p if p else None, low, None))
    high = (p * q + root(second["high"], most)) / (most * (2 * p - most))
    return asdict(Ratio(q / p, low, high))
