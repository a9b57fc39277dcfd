"""Multiplies matrices of codes and weights exactly, with the processor's instructions for bytes
where it has them.

    product = Products(matrix, bound)          # int8 [K, C]
    sums = product(windows)                    # int8 [n, K]; whole numbers [n, C]
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray


class Products:
    """Products with one matrix.

    Parameters
    ----------
    matrix : int8 [K, C]
    bound : int
        No partial sum is larger; below 2**53.
    """

    def __init__(self, matrix: NDArray[np.int8], bound: int):
        self._dtype = torch.float32 if bound <= 1 << 24 else torch.float64
        self._bytes = multiplies_bytes() and bound < 1 << 31
        given = torch.from_numpy(np.ascontiguousarray(matrix))
        self._matrix = given if self._bytes else given.to(self._dtype)

    def __call__(self, rows: NDArray[np.int8]) -> NDArray:
        """Returns the products of rows, int8 [n, K], with the matrix, [n, C]."""
        given = torch.from_numpy(rows)
        if self._bytes:
            return torch._int_mm(given, self._matrix).numpy()
        return torch.mm(given.to(self._dtype), self._matrix).numpy()


@cache
def multiplies_bytes() -> bool:
    """Tells whether PyTorch multiplies bytes exactly, and fast.

    Processors without the instructions for it would saturate sums of two products, which the
    largest codes show.
    """
    if not torch.cpu._is_vnni_supported():
        return False
    pairs = torch.tensor([[-128, -128], [127, 127], [-128, 127], [127, -128]], dtype=torch.int8)
    rows = pairs.repeat(8, 40)
    columns = rows.T.contiguous()
    wanted = rows.to(torch.int64) @ columns.to(torch.int64)
    return torch.equal(torch._int_mm(rows, columns).to(torch.int64), wanted)
