"""The contract's round-shift, of NumPy's arrays and of PyTorch's tensors."""

from typing import Any, TypeVar

Numbers = TypeVar("Numbers", bound=Any)


def round_shift(v: Numbers, shift: Any, rounding: str) -> Numbers:
    """Returns rs(v, S) of the contract; both int64."""
    half = (1 << shift) >> 1
    if rounding == "floor":
        return v >> shift
    if rounding == "half_up":
        v = v + half
        v >>= shift
        return v
    quotient = v >> shift
    rest = v - (quotient << shift)
    up = (rest > half) | ((rest == half) & (quotient & 1 == 1))
    return quotient + (up & (shift > 0))
