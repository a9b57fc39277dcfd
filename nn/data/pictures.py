"""One picture file to pixels."""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from holdfast.base.errors import HoldfastError
from holdfast.base.text import reason

SIDE = 32
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def read_picture(
    content: bytes, name: str, formats: tuple[str, ...] = ("BMP", "JPEG", "PNG", "PPM")
) -> NDArray[np.uint8]:
    """Pixels, uint8 [3, 32, 32], of a picture of 32 x 32.

    Parameters
    ----------
    name : str
        What the picture is called, printable.

    Raises
    ------
    HoldfastError
        It is no picture of these formats, damaged, of another size or of more than 8 bits.
    """
    try:
        with warnings.catch_warnings():
            # Sizes beyond reason are only a warning; the size is checked before pixels are read.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=formats) as picture:
                if picture.size != (SIDE, SIDE):
                    width, height = picture.size
                    raise HoldfastError(
                        f"{name} has {width} x {height} pixels, not {SIDE} x {SIDE}."
                    )
                if picture.mode not in _EIGHT_BITS:
                    raise HoldfastError(f"{name} has pixels of mode {picture.mode}, not of 8 bits.")
                pixels = np.asarray(picture.convert("RGB"))
    except HoldfastError:
        raise
    except Image.UnidentifiedImageError:
        raise HoldfastError(f"{name} is not a picture.") from None
    except Exception as error:
        # Pillow raises whatever its readers do with damaged files.
        raise HoldfastError(f"{name} is not a picture: {reason(error)}.") from None
    return pixels.transpose(2, 0, 1).copy()
