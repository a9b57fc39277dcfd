"""Exact products against Python's integers."""

import numpy as np
import pytest

from holdfast.nn.graph.products import Products


@pytest.mark.parametrize("length", [1, 3, 64, 577, 1100])
@pytest.mark.parametrize("ends", [True, False])
def test_products(length, ends):
    draw = np.random.default_rng(length)
    rows = draw.integers(-128, 128, (5, length)).astype(np.int8)
    matrix = draw.integers(-127, 128, (length, 3)).astype(np.int8)
    if ends:
        rows[:3] = np.array([-128, 127, -128])[:, None]
        matrix[:, :2] = [127, -127]
    wanted = rows.astype(object) @ matrix.astype(object)
    bound = int(np.abs(matrix.astype(int)).sum(0).max()) * 128
    found = Products(matrix, bound)(rows)
    assert found.astype(object).tolist() == wanted.tolist()


def test_sums_beyond_float32():
    rows = np.full((1, 4000), -128, np.int8)
    matrix = np.full((4000, 1), 127, np.int8)
    rows[0, 0] = 1
    found = Products(matrix, 1 << 26)(rows)
    assert int(found[0, 0]) == -128 * 127 * 3999 + 127
