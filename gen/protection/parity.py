"""Interleaved parity: one bit of the even bits, one of the odd."""

from collections.abc import Iterable

import numpy as np
from amaranth.hdl import Cat, Value
from numpy.typing import NDArray

INTERLEAVE = 2
"""Parity bits: two neighbouring bits never share one."""


def parity(values: Iterable[Value]) -> Value:
    """Returns the parity bits of bits in a row: bit i of all belongs to parity bit i modulo 2."""
    bits = Cat(Value.cast(value) for value in values)
    return Cat(bits[first::INTERLEAVE].xor() for first in range(INTERLEAVE))


def parity_of(bits: NDArray[np.integer]) -> NDArray[np.int64]:
    """Computes the same in software.

    Parameters
    ----------
    bits
        [n, width], each 0 or 1.

    Returns
    -------
    [n], parity bit i in bit i.
    """
    ones = [bits[:, first::INTERLEAVE].sum(1) & 1 for first in range(INTERLEAVE)]
    return sum(one.astype(np.int64) << index for index, one in enumerate(ones))
