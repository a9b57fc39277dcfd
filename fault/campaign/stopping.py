"""Says when to look at a campaign that stops as soon as an interval is narrow enough.

A look takes the same number of work units of every stratum. After each, the next one is where the
interval would be narrow enough if the rates stayed what they are: two or three looks for most
campaigns, and few faults too many. Looking more than once makes intervals hold the truth less
often, so all of them are computed for a higher confidence. Frey ("Fixed-width sequential confidence
intervals for a proportion", The American Statistician 64, 2010) calibrates sequential intervals
so; `tests/bench/intervals.py` measures how often they hold the truth.
"""

from collections.abc import Mapping
from dataclasses import replace

from holdfast.base.statistics import Sample, stratified

_SPENT = 0.6
"""Share of the error that an interval may make when looks have a part in it."""


def raised(confidence: float) -> float:
    """Returns the confidence for which intervals are computed to hold another after all looks."""
    return 1 - _SPENT * (1 - confidence)


def next_look(
    samples: Mapping[str, Sample],
    sizes: Mapping[str, float],
    counts: Mapping[str, int],
    unit: int,
    looked: int,
    margin: float,
    level: float,
) -> int:
    """Returns how many units of each stratum to have at the next look.

    Parameters
    ----------
    samples, sizes : Mapping
        What is known, and the populations, by stratum.
    counts : Mapping
        Faults that are planned.
    unit, looked : int
        Faults of a unit, and units at the last look.
    margin : float
        Half width to reach.
    level : float
        Confidence of the intervals.
    """

    def wide(units: int) -> bool:
        more = {
            name: part if part.whole else replace(part, faults=min(counts[name], units * unit))
            for name, part in samples.items()
        }
        found = stratified(more, sizes, level)
        return (found.high - found.low) / 2 > margin

    low, high = looked + 1, -(-max(counts.values()) // unit)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if wide(middle) else (low, middle)
    return low
