"""Images to input codes."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["image_codes"]


def image_codes(images: NDArray[np.uint8] | Tensor, act_bits: int) -> Tensor:
    """Codes of pixels, int8, same shape; black is the zero point -2^(act_bits - 1)."""
    pixels = torch.as_tensor(images).to(torch.int32)
    codes = (pixels * ((1 << act_bits) - 1) + 127) // 255 - (1 << act_bits - 1)
    return codes.to(torch.int8)
