"""Simulated campaigns: what many samples of faults look like, whose true shares are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

from holdfast.base.statistics import Sample


@dataclass(frozen=True)
class Faults:
    """How the images of a fault fail.

    Attributes
    ----------
    shares : tuple of float
        Of images that fail in each way, such as (both times, only before, only after); the rest
        does not fail.
    images : int
        Under a fault.
    correlation : float
        Between the images of a fault, 0 to 1.
    beta : bool
        Every fault has shares of its own from a beta (Dirichlet) distribution. Otherwise a share
        ``correlation`` of the faults does the same to all images, the others to each its own.
    """

    shares: tuple[float, ...]
    images: int = 1
    correlation: float = 0.0
    beta: bool = False

    @cached_property
    def patterns(self) -> NDArray[np.int64]:
        """Images that fail in each way, [pattern, way]."""
        every = product(range(self.images + 1), repeat=len(self.shares))
        return np.array([ways for ways in every if sum(ways) <= self.images])

    @cached_property
    def chances(self) -> NDArray[np.float64]:
        """Of a fault, by pattern."""
        ways = np.column_stack([self.patterns, self.images - self.patterns.sum(1)])
        shares = np.array([*self.shares, 1 - sum(self.shares)])
        orders = gammaln(self.images + 1) - gammaln(ways + 1).sum(1)
        rho = self.correlation
        alike = np.where(ways == self.images, shares, 0).sum(1)
        if self.beta and 0 < rho < 1:
            size = (1 - rho) / rho
            some = np.maximum(shares * size, 1e-300)
            log = orders + gammaln(size) - gammaln(size + self.images)
            chance = np.exp(log + (gammaln(some + ways) - gammaln(some)).sum(1))
        else:
            chance = (1 - rho) * np.exp(orders + xlogy(ways, shares).sum(1)) + rho * alike
        return chance / chance.sum()

    def draw(self, source: np.random.Generator, faults: int, repetitions: int) -> NDArray[np.int64]:
        """Of so many campaigns the faults of each pattern, [campaign, pattern]."""
        return source.multinomial(faults, self.chances, size=repetitions)

    def sample(self, counts: NDArray[np.int64], worth: Sequence[float] | NDArray) -> Sample:
        """The values that a pattern's fault has, seen in campaigns with these counts."""
        faults, values = int(counts[0].sum()), np.asarray(worth, float)
        mean = counts @ values / faults
        return Sample(faults, mean, np.maximum(counts @ values**2 / faults - mean**2, 0))

    def failed(self, counts: NDArray[np.int64]) -> Sample:
        """Shares of images that failed in any way."""
        return self.sample(counts, self.patterns.sum(1) / self.images)
