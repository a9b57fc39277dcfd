"""Images to input codes."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def image_codes(images: "NDArray[np.uint8] | Tensor", act_bits: int) -> "Tensor":
    """Returns codes of pixels, int8, same shape; black is the zero point -2^(act_bits - 1)."""
    import torch

    pixels = torch.as_tensor(images).to(torch.int32)
    codes = (pixels * ((1 << act_bits) - 1) + 127) // 255 - (1 << act_bits - 1)
    return codes.to(torch.int8)
