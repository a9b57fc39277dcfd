"""Finds the points that no other point beats.

front([(1, 5), (2, 2), (3, 3)])      # [True, True, False]: smaller is better
"""

from collections.abc import Sequence


def front(costs: Sequence[Sequence[float]]) -> list[bool]:
    """Tells whether no other point is as good in everything and better in something.

    Parameters
    ----------
    costs : sequence of sequence of float
        Of each point; smaller is better. Equal points do not beat each other.
    """
    return [not any(_beats(other, own) for other in costs) for own in costs]


def _beats(first: Sequence[float], second: Sequence[float]) -> bool:
    pairs = list(zip(first, second, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
