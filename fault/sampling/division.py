"""Divides structures into strata of faults that fail about as often, and says how many to draw.

    division = divide(cells, structures, {"weight": Tally(harm, trials), ...})
    counts = division.allocate(10_000, minimum=20)        # {"weight.1": 310, ...}

A pilot campaign's results give every cell (`fault.sampling.cells`) an expected rate: that of its
structure times a factor for what is struck, for the bit, the layer and the phase, each drawn to
what is common where the pilot knows little. Cells of similar rates are one stratum. The rates only
decide how many faults are drawn where. The estimate weights every stratum by its exact population,
so it is unbiased whatever they are.

The draws are shared as Neyman (1934) does: by population times standard deviation. But no stratum
gets fewer than a share of its population asks for (a defensive mixture, Hesterberg 1995), since an
interval must allow for one failure in a stratum that showed none. The split between both is the one
that promises the narrowest interval.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, hypot, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .cells import Cells

_CLASSES, _LEAST_SHARE = 4, 0.002
"""Strata of a structure beside the unused words, and the least share of it that one is."""
_STRUCTURE, _FACTOR = 20.0, 1.0
"""Faults and failures that the common rate is worth against what a pilot saw."""
_APART = 1.5
"""Ratio of the rates of two strata of a structure."""
_UNUSED, _LEAST = 0.05, 10
"""Share of the draws that unused words get, and the least draws of a stratum."""
_SPLITS = np.linspace(0.2, 0.95, 16)
_DEVIATE = 1.96


class Tally(NamedTuple):
    """Counts a structure's faults in a pilot, by cell: the sum of what they did, 0 to 1, and how
    many.
    """

    harm: NDArray[np.float64]
    trials: NDArray[np.float64]


@dataclass(frozen=True)
class Division:
    """Makes strata, named by structure and number: ``weight_memory.0`` are the unused words.

    Attributes
    ----------
    classes : Mapping
        Number of the stratum of every cell, by structure.
    sizes : Mapping
        Faults of every stratum.
    rates : Mapping
        Expected share of failures; 0 of unused words.
    """

    classes: Mapping[str, NDArray[np.int8]]
    sizes: Mapping[str, int]
    rates: Mapping[str, float]

    def structure(self, stratum: str) -> str:
        """Returns the structure that a stratum is part of."""
        return stratum.rpartition(".")[0]

    def strata(self, structure: str) -> list[str]:
        """Returns the strata of a structure."""
        return [name for name in self.sizes if self.structure(name) == structure]

    def unused(self, stratum: str) -> bool:
        """Tells whether faults of a stratum can not fail."""
        return stratum.endswith(".0")

    def inside(self, stratum: str, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tells which cells belong to a stratum of their structure."""
        structure, _, number = stratum.rpartition(".")
        return self.classes[structure][cells] == int(number)

    @property
    def hash(self) -> str:
        """Tells it from other divisions."""
        text = b"".join(name.encode() + table.tobytes() for name, table in self.classes.items())
        return hashlib.blake2b(text, digest_size=8).hexdigest()

    def allocate(self, count: int, minimum: int) -> dict[str, int]:
        """Returns faults by stratum for so many in all, at least the minimum in a structure."""
        total = sum(self.sizes.values())
        shares = {name: size / total for name, size in self.sizes.items()}
        used = [name for name in shares if not self.unused(name)]
        share = np.array([shares[name] for name in used])
        spread = share * np.sqrt([self.rates[name] * (1 - self.rates[name]) for name in used])
        idle = sum(shares.values()) - sum(share)
        if not used:
            return {name: max(_LEAST, ceil(max(count, minimum) * s)) for name, s in shares.items()}
        left = count * (1 - _UNUSED * (len(used) < len(shares)))
        options = [_mixed(left, split, share, spread) for split in _SPLITS]
        widths = [_width(option, share, spread) for option in options]
        drawn = dict(zip(used, options[int(np.argmin(widths))].tolist(), strict=True))
        for name in shares.keys() - drawn.keys():
            drawn[name] = count * _UNUSED * shares[name] / idle
        result: dict[str, int] = {}
        for structure in self.classes:
            mine = self.strata(structure)
            scale = max(1.0, minimum / sum(drawn[name] for name in mine))
            result |= {name: max(_LEAST, ceil(drawn[name] * scale)) for name in mine}
        return result


def _mixed(count: float, split: float, share: NDArray, spread: NDArray) -> NDArray:
    """Draws in proportion to the spread, but none fewer than so great a part in proportion."""
    least = split * count * share / share.sum()
    low, high = 0.0, count / spread.sum()
    for _ in range(60):
        middle = (low + high) / 2
        if np.maximum(least, middle * spread).sum() > count:
            high = middle
        else:
            low = middle
    return np.maximum(least, low * spread)


def _width(drawn: NDArray, share: NDArray, spread: NDArray) -> float:
    """The width that an interval will have: the fault more and the deviation, up and down."""
    more = float((share / drawn).max())
    deviation = sqrt(float((spread**2 / drawn).sum()))
    return more + _DEVIATE * (hypot(more, deviation) + deviation)


def divide(cells: Cells, structures: Sequence[str], tallies: Mapping[str, Tally]) -> Division:
    """Makes strata of what a pilot saw."""
    population = {name: cells.population(name) for name in structures}
    # What fails in common, of all faults that can.
    used = sum(int(found[:-1].sum()) for found in population.values())
    common = 0.0
    for name, found in population.items():
        harm, trials = tallies[name]
        common += found[:-1].sum() / max(1, used) * harm[:-1].sum() / max(1, trials[:-1].sum())
    classes, sizes, rates = {}, {}, {}
    for name, found in population.items():
        score = _scores(cells.shape(name), tallies[name], max(common, 1e-6))
        # Too few to be drawn from would be drawn from for long.
        idle = 0 if found[-1] >= _LEAST_SHARE * found.sum() else 1
        classes[name] = numbers = np.append(_classes(found[:-1], score), idle).astype(np.int8)
        for number in np.unique(numbers[found > 0]):
            here = numbers == number
            size = int(found[here].sum())
            sizes[f"{name}.{number}"] = size
            mean = float(found[:-1][here[:-1]] @ score[here[:-1]]) / size if number else 0.0
            rates[f"{name}.{number}"] = mean
    return Division(classes, sizes, rates)


def _scores(shape: tuple[int, ...], tally: Tally, common: float) -> NDArray[np.float64]:
    """Expected rates of the cells of a structure."""
    harm, trials = (part[:-1].reshape(shape) for part in tally)
    base = (harm.sum() + _STRUCTURE * common) / (trials.sum() + _STRUCTURE)
    score = np.full(shape, base)
    for axis in range(len(shape)):
        others = tuple(n for n in range(len(shape)) if n != axis)
        failed, tried = harm.sum(others), trials.sum(others)
        factor = (failed + _FACTOR) / (base * tried + _FACTOR)
        score *= factor.reshape([-1 if n == axis else 1 for n in range(len(shape))])
    return np.clip(score, 1e-9, 0.9).ravel()


def _classes(population: NDArray[np.int64], score: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers cells from 1 on, by their rates: strata with as much of the spread each, none too
    small to be drawn from.
    """
    order = np.argsort(score, kind="stable")
    size, spread = population[order], population[order] * np.sqrt(score[order])
    place = np.cumsum(spread) / max(spread.sum(), 1e-300)
    number = np.minimum((place * _CLASSES).astype(np.int64), _CLASSES - 1) + 1
    least = _LEAST_SHARE * size.sum()
    for above in range(_CLASSES, 1, -1):
        high, low = number >= above, number == above - 1
        rate, other = (size[part] @ score[order][part] / max(1, size[part].sum())
                       for part in (high, low))  # fmt: skip
        small = min(size[high].sum(), size[low].sum()) < least
        if small or rate < _APART * other:
            number[high] = above - 1
    result = np.ones(len(population), np.int64)
    result[order] = number
    return result
