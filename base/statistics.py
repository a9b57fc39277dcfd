"""Sample sizes and intervals of fault campaigns."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

__all__ = ["Estimate", "quantile", "sample_size", "stratified", "weighted", "wilson"]


@dataclass(frozen=True)
class Estimate:
    """A share, and its two-sided confidence interval."""

    value: float
    low: float
    high: float


def wilson(hits: int, trials: int, confidence: float = 0.95) -> Estimate:
    """Share and Wilson score interval; 0 in [0, 1] without trials.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    1927.
    """
    if trials == 0:
        return Estimate(0.0, 0.0, 1.0)
    z = quantile(confidence)
    share = hits / trials
    weight = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / weight
    margin = z / weight * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # Exact where rounding would leave a trace of a limit.
    low = 0.0 if hits == 0 else centre - margin
    return Estimate(share, low, 1.0 if hits == trials else centre + margin)


def stratified(
    counts: Mapping[str, tuple[int, int]],
    population: Mapping[str, int],
    confidence: float = 0.95,
) -> Estimate:
    """Share of the whole population from independent samples of its strata.

    The estimate is the sum of w * p over the strata, w being a stratum's share of the population
    and p = hits / trials. The interval combines the Wilson limits of the strata by the squares of
    their weighted distances (MOVER, Zou and Donner 2008; for strata, Yan and Su 2010):

        low = p - sqrt(sum((w * (p_i - low_i))**2)),  high = p + sqrt(sum((w * (high_i - p_i))**2))

    so that a stratum without hits still contributes to the upper limit, which the normal
    approximation with p (1 - p) / n does not.

    Parameters
    ----------
    counts : Mapping
        Hits and trials of every stratum.
    population : Mapping
        Size of every stratum; one without trials is as uncertain as can be.
    """
    parts = {name: wilson(*counts.get(name, (0, 0)), confidence) for name in population}
    return weighted(parts, population)


def weighted(parts: Mapping[str, Estimate], population: Mapping[str, int]) -> Estimate:
    """Share of the whole population from those of its strata, as in :func:`stratified`."""
    total = sum(population.values())
    value = below = above = 0.0
    for name, size in population.items():
        weight, part = size / total, parts[name]
        value += weight * part.value
        below += (weight * (part.value - part.low)) ** 2
        above += (weight * (part.high - part.value)) ** 2
    return Estimate(value, max(0.0, value - sqrt(below)), min(1.0, value + sqrt(above)))


def sample_size(
    population: int, margin: float, confidence: float = 0.95, share: float = 0.5
) -> float:
    """Faults to draw for an error margin (Leveugle et al., DATE 2009).

    Parameters
    ----------
    population : int
        Bits times cycles times images.
    margin : float
        Half width of the interval.
    share : float
        Expected share; 0.5 is the worst case.

    Returns
    -------
    float
        n = N / (1 + e**2 (N - 1) / (t**2 p (1 - p))), not rounded.
    """
    t = quantile(confidence)
    return population / (1 + margin**2 * (population - 1) / (t * t * share * (1 - share)))


def quantile(confidence: float) -> float:
    """Standard normal deviate of a two-sided confidence."""
    return NormalDist().inv_cdf((1 + confidence) / 2)
