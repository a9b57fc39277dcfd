"""Sample sizes and intervals of fault campaigns.

    share(Sample.of(hits), 0.95)                       # one stratum; hits are bool [fault, image]
    stratified({"weight": Sample.counted(3, 200), ...}, population, 0.95)

The unit is the fault. What it did to its images is one value between 0 and 1, so that images that
always agree count once, and those that do not as often as the data show.

Limits come from the sample with one more fault in it: one that failed on all images for the upper
limit, one that failed on none for the lower. Gaffke (2005; Learned-Miller and Thomas 2020) takes
quantiles of the mean of that sample under random weights, uniform over all that add up to 1. Here
a beta distribution with the mean and variance of that random mean stands for it. Of values that
are only 0 and 1 it is exact: these are Clopper and Pearson's limits (1934), and with 0 of n faults
the upper one is 1 - tail ** (1 / n). Of strata the weighted mean's distribution is matched; the
fault more is in the stratum in which it moves the whole the most, as in the limits of Fay and
Feuer (1997) for weighted sums of rare events. No design effect is estimated, which few events
cannot give, and a stratum without events still counts. `tests/bench/intervals.py` measures how
often the limits hold the truth.

Source: Gaffke, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a
nonnegative variable", 2005; Learned-Miller and Thomas, "A new confidence interval for the mean of
a bounded random variable", 2020; Fay and Feuer, "Confidence intervals for directly standardized
rates", 1997.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv


@dataclass(frozen=True)
class Estimate:
    """Holds a share and its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Sample:
    """Values between 0 and 1 of independently drawn faults, by what limits need of them.

    Attributes
    ----------
    faults : float
        How many; 0: nothing is known.
    mean, variance : float or ndarray
        Of the values, divided by ``faults``; arrays are many samples of one size.
    whole : bool
        Every fault that exists was tried, once: the mean is exact.
    """

    faults: float
    mean: Any
    variance: Any
    whole: bool = False

    @classmethod
    def of(cls, hits: NDArray, whole: bool = False) -> "Sample":
        """Makes a sample of what failed, [fault] or [fault, image]; a fault's value is its mean
        over images.
        """
        if not len(hits):
            return cls(0, 0.0, 0.0)
        values = hits.mean(1) if hits.ndim > 1 else hits
        return cls(len(values), float(values.mean()), float(values.var()), whole)

    @classmethod
    def counted(cls, hits: float, faults: float, whole: bool = False) -> "Sample":
        """Makes a sample of faults with one image each."""
        mean = hits / faults if faults else 0.0
        return cls(faults, mean, mean * (1 - mean), whole)


def share(sample: Sample, confidence: float = 0.95) -> Estimate:
    """Returns the share of one stratum, as in :func:`stratified`."""
    return stratified({"": sample}, {"": 1}, confidence)


def stratified(
    samples: Mapping[str, Sample], population: Mapping[str, float], confidence: float = 0.95
) -> Estimate:
    """Returns the share of the whole population from independent samples of its strata.

    The estimate is the sum of w * p over the strata, w being a stratum's share of the population
    and p its mean. The interval is two-sided with equal tails. Where no fault failed it is the
    one-sided upper limit of the same confidence (0 of n: 1 - (1 - confidence) ** (1 / n)), and
    where all failed the lower one.

    Parameters
    ----------
    population : Mapping
        Size of every stratum; one without a sample is as uncertain as can be.
    """
    total = sum(population.values())
    parts = [samples.get(name, Sample(0, 0.0, 0.0)) for name in population]
    weights = [size / total for size in population.values()]
    tried = [part.mean for part in parts if part.faults]
    alike = bool(tried) and (not any(tried) or all(mean == 1 for mean in tried))
    tail = (1 - confidence) if alike else (1 - confidence) / 2
    low, high = limits(parts, weights, tail)
    value = min(1.0, sum(w * part.mean for w, part in zip(weights, parts, strict=True)))
    return Estimate(float(value), min(float(value), float(low)), max(float(value), float(high)))


def variance(samples: Mapping[str, Sample], population: Mapping[str, float]) -> float:
    """Returns the variance of the estimate of :func:`stratified`, estimated from the samples."""
    total = sum(population.values())
    return sum(
        (population[name] / total) ** 2 * part.variance / (part.faults - 1)
        for name, part in samples.items()
        if part.faults > 1 and not part.whole
    )


def limits(samples: Sequence[Sample], weights: Sequence[float], tail: float) -> tuple[Any, Any]:
    """Returns the lower and upper limit of a weighted mean; each misses it with the probability
    ``tail``.

    Parameters
    ----------
    weights : sequence of float
        Of the strata, 1 together.

    Returns
    -------
    tuple of float or ndarray
        As the samples' means.
    """
    parts = [*zip(samples, weights, strict=True)]
    known = sum((w * s.mean for s, w in parts if s.whole), 0.0)
    drawn = [(s, w) for s, w in parts if s.faults and not s.whole and w]
    unknown = sum(w for s, w in parts if not s.faults)
    left = sum(w for _, w in drawn)
    if not drawn:
        return known, known + unknown
    strata, shares = [s for s, _ in drawn], [w / left for _, w in drawn]
    low, high = _limit(strata, shares, 0.0, tail), _limit(strata, shares, 1.0, 1 - tail)
    return known + left * low, known + left * high + unknown


def _limit(strata: Sequence[Sample], weights: Sequence[float], value: float, point: float) -> Any:
    """The quantile ``point`` of the weighted mean, with one more fault of a value of 0 or 1."""
    means = np.array([np.asarray(s.mean, float) for s in strata])
    spreads = np.array([np.asarray(s.variance, float) for s in strata])

    def column(values: Iterable[float]) -> NDArray:
        return np.array([*values], float).reshape(-1, *[1] * (means.ndim - 1))

    weight = column(weights)
    faults = column(s.faults for s in strata)
    shift = weight * (value - means) / (faults + 1)
    own = weight**2 * spreads / np.maximum(faults - 1, 1)
    more = faults / (faults + 1) * (spreads + (value - means) ** 2 / (faults + 1)) / (faults + 2)
    # The stratum that the fault more belongs to.
    here = np.arange(len(strata)).reshape(weight.shape) == np.abs(shift).argmax(0)
    centre = np.clip((weight * means + here * shift).sum(0), 0, 1)
    spread = np.where(here, weight**2 * more, own).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.maximum(centre * (1 - centre) / spread - 1, 1e-9)
        found = betaincinv(centre * size, (1 - centre) * size, point)
    # Nothing varies where all is 0 (lower limit) or all is 1 (upper limit).
    return np.where((spread <= 0) | (centre <= 0) | (centre >= 1), centre, found)


def weighted(parts: Mapping[str, Estimate], population: Mapping[str, int]) -> Estimate:
    """Returns the share of the whole population from estimates of any origin, independent of each
    other.

    Combines their limits by the squares of their weighted distances (MOVER, Zou and Donner 2008;
    for strata, Yan and Su 2010):

        low = p - sqrt(sum((w * (p_i - low_i))**2)),  high = p + sqrt(sum((w * (high_i - p_i))**2))
    """
    total = sum(population.values())
    value = below = above = 0.0
    for name, size in population.items():
        weight, part = size / total, parts[name]
        value += weight * part.value
        below += (weight * (part.value - part.low)) ** 2
        above += (weight * (part.high - part.value)) ** 2
    return Estimate(value, max(0.0, value - sqrt(below)), min(1.0, value + sqrt(above)))


def sample_size(population: int, margin: float, confidence: float = 0.95) -> float:
    """Returns how many faults to draw for an error margin (Leveugle et al., DATE 2009).

    Parameters
    ----------
    population : int
        Bits times cycles times images.
    margin : float
        Half width of the interval.

    Returns
    -------
    float
        n = N / (1 + e**2 (N - 1) / (t**2 p (1 - p))), not rounded, of the worst share p, 0.5.
    """
    t = quantile(confidence)
    return population / (1 + margin**2 * (population - 1) / (t * t / 4))


def quantile(confidence: float) -> float:
    """Returns the standard normal deviate of a two-sided confidence."""
    return NormalDist().inv_cdf((1 + confidence) / 2)
