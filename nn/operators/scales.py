"""Real scales and the integers that stand for them."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .checks import ACC_BITS_LIMIT, ModelError

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Encoding:
    """Says how a tensor is stored: real value = scale * (code - zero_point)."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Weights:
    """Holds a convolution or dense layer, batch norm included: y = gain * (codes * x) + offset.

    Parameters
    ----------
    codes : int8 [C_out, C_in / groups, kh, kw]
    gain : float64 [C_out]
        Weight scale times batch norm's gamma / sigma; may be negative or zero.
    offset : float64 [C_out]
        Bias, or batch norm's beta - mean * gamma / sigma.
    """

    codes: NDArray[np.int8]
    gain: Reals
    offset: Reals


def image_encoding(act_bits: int) -> Encoding:
    """Tells how the contract stores the image."""
    return Encoding(1 / ((1 << act_bits) - 1), -(1 << act_bits - 1))


def quantize_multiplier(factor: float, bits: int) -> tuple[int, int]:
    """Returns the multiplier in [2^(bits - 1), 2^bits) and shift with factor = multiplier /
    2^shift, nearly.

    A factor too small for any code to change is (0, 0); with bits = 0 the multiplier is 1.

    Raises
    ------
    ModelError
        The factor is negative, not finite or too large, or with bits = 0 no power of two up to 1.
    """
    if not 0 <= factor < math.inf:
        raise ModelError(
            f"requantization factor {factor} must be finite and not negative: "
            "a scale or weight is too large, or none."
        )
    if factor == 0:
        return 0, 0
    mantissa, exponent = math.frexp(factor)
    if bits == 0:
        power = round(math.log2(factor))
        if power > 0 or not math.isclose(factor, 2.0**power, rel_tol=1e-9):
            raise ModelError(
                f"requantization factor {factor} must be 1, 1/2, 1/4, ... "
                "where there is no multiplier."
            )
        return 1, -power
    multiplier, shift = round(math.ldexp(mantissa, bits)), bits - exponent
    if multiplier == 1 << bits:
        multiplier, shift = multiplier >> 1, shift - 1
    if shift < 0:
        raise ModelError(
            f"requantization factor {factor} must be below 2^{bits} "
            f"for a multiplier of {bits} bits."
        )
    return (multiplier, shift) if shift < ACC_BITS_LIMIT + bits else (0, 0)
