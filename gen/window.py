"""Says how memories lie on the bus: words padded to a power of two of bytes, in regions of one
size.
"""

REGION_BITS = 22


def word_stride(lanes: int) -> int:
    """Bytes from one memory word to the next on the bus: a power of two, at least 4."""
    return max(4, 1 << (lanes - 1).bit_length())
