"""Bounds of what commands take; None is not given."""

import math

from .errors import HoldfastError

__all__ = ["check_choice", "check_least", "check_positive", "check_seed"]

_LAST_SEED = 2**31 - 1


def check_least(least: int, **values: float | None) -> None:
    """HoldfastError if one of the values, by option, is below a bound or not finite."""
    for name, value in values.items():
        if value is not None and not least <= value < math.inf:
            finite = "" if math.isfinite(value) else "finite and "
            raise HoldfastError(f"{name} must be {finite}at least {least}, not {value}.")


def check_positive(**values: float) -> None:
    """HoldfastError if one of the values, by option, is not above 0 or not finite."""
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise HoldfastError(f"{name} must be finite and above 0, not {value}.")


def check_choice(known: tuple[str, ...], **values: str) -> None:
    """HoldfastError if one of the values, by option, is not among those known."""
    for name, value in values.items():
        if value not in known:
            *others, last = known
            raise HoldfastError(f"{name} must be {', '.join(others)} or {last}, not {value!r}.")


def check_seed(seed: int) -> None:
    """HoldfastError if a seed is not from 0 to 2147483647."""
    if not 0 <= seed <= _LAST_SEED:
        raise HoldfastError(f"seed must be from 0 to {_LAST_SEED}, not {seed}.")
