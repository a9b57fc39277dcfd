"""The round-shift against fractions, of arrays and of tensors."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.nn.graph.rounding import round_shift


def both(v, shift, rounding):
    """Result of an array and of a tensor, which must be one."""
    array = round_shift(np.array([v]), np.array([shift]), rounding)
    tensor = round_shift(torch.tensor([v]), torch.tensor([shift]), rounding)
    assert array.dtype == np.int64 and tensor.dtype == torch.int64
    assert array.item() == tensor.item()
    return array.item()


@settings(deadline=None)
@given(v=st.integers(-(1 << 46), 1 << 46), shift=st.integers(0, 47))
def test_round_shift(v, shift):
    exact = Fraction(v, 1 << shift)
    floor = exact.__floor__()
    expected = {
        "floor": floor,
        "half_up": (exact + Fraction(1, 2)).__floor__(),
        "half_even": round(exact),
    }
    for rounding, value in expected.items():
        assert both(v, shift, rounding) == value


@pytest.mark.parametrize(
    ("v", "shift", "rounding", "expected"),
    [(-3, 1, "half_up", -1), (-3, 1, "half_even", -2), (-3, 1, "floor", -2), (3, 1, "half_up", 2),
     (5, 1, "half_even", 2), (5, 1, "half_up", 3), (7, 0, "half_even", 7)],
)  # fmt: skip
def test_ties(v, shift, rounding, expected):
    assert both(v, shift, rounding) == expected


@pytest.mark.parametrize("rounding", ["floor", "half_up", "half_even"])
def test_what_is_given_stays(rounding):
    given = np.array([5, -7])
    round_shift(given, np.array([1, 0]), rounding)
    assert given.tolist() == [5, -7]
