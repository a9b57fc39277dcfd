"""Compares what the engine says of a fault with what plain RTL does.

All columns but ``path`` are compared. Three of them are only known in one way: plain RTL does not
see where a fault ``died``; the engine says a ``latency`` only where RTL saw the alarm, and ends a
hang before its last of ``cycles``.
"""

from holdfast.fault.campaign.engine import FaultOutcome

__all__ = ["differing"]

_COLUMNS = ("effect", "detected", "sdc5", "sdc10", "sdc20", "counts", "status", "output", "top")


def differing(engine: FaultOutcome, plain: FaultOutcome) -> list[str]:
    """Names of the columns that differ."""
    columns = [*_COLUMNS]
    if plain.effect != "hang":
        columns.append("cycles")
    return [name for name in columns if getattr(engine, name) != getattr(plain, name)]
