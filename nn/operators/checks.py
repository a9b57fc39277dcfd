"""Bounds that nodes of an integer graph keep to, and how a breach is told."""

from typing import Any

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown

ACC_BITS_LIMIT = 32
SIDE_LIMIT = 1 << 16


class ModelError(HoldfastError):
    """Says that an integer graph or its file breaks the contract."""


def check_inside(what: str, value: Any, low: int, high: int) -> None:
    """Refuses what is no whole number from ``low`` to ``high``; raises ModelError."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ModelError(f"{what} must be a whole number from {low} to {high}, not {shown(value)}.")


def windows(
    size: int, kernel: int, stride: int, padding: int, dilation: int = 1, offset: int = 0
) -> int:
    """Counts the windows along one side of a map of ``size`` rows or columns."""
    return (size - offset + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
