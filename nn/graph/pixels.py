"""Images to input codes."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def image_codes(images: "NDArray[np.uint8] | Tensor", act_bits: int) -> "Tensor":
    """Returns codes of pixels as a tensor, as `pixel_codes` computes them."""
    import torch

    return torch.from_numpy(pixel_codes(np.asarray(images, np.uint8), act_bits))


def pixel_codes(images: NDArray[np.integer], act_bits: int) -> NDArray[np.int8]:
    """Returns codes of pixels, int8, same shape; black is the zero point -2^(act_bits - 1)."""
    pixels = np.arange(256)
    codes = (pixels * ((1 << act_bits) - 1) + 127) // 255 - (1 << act_bits - 1)
    return codes.astype(np.int8)[images]
