"""Multiplies matrices of codes and weights exactly.

product = Products(matrix, bound)          # int8 [K, C]
sums = product(windows)                    # int8 [n, K]; whole numbers [n, C]
"""

import numpy as np
from numpy.typing import NDArray


class Products:
    """Products with one matrix, in the narrowest float type in which every partial sum is exact.

    Parameters
    ----------
    matrix : int8 [K, C]
    bound : int
        No partial sum is larger; below 2**53.
    """

    def __init__(self, matrix: NDArray[np.int8], bound: int):
        self._matrix = matrix.astype(np.float32 if bound <= 1 << 24 else np.float64)

    def __call__(self, rows: NDArray[np.int8]) -> NDArray[np.floating]:
        """Returns the products of rows, int8 [n, K], with the matrix, [n, C]."""
        found: NDArray[np.floating] = rows.astype(self._matrix.dtype) @ self._matrix
        return found
