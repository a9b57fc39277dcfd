"""Networks that compute with other widths than the accelerator."""

import pytest

from holdfast.nn.graph.graph import AddNode, AvgPoolNode
from tests.nn.compiler.graphs import CODES, conv, graph, image, refusal, simple


@pytest.mark.parametrize(
    ("name", "value"),
    [("act_bits", 7), ("weight_bits", 4), ("multiplier_bits", 8), ("rounding", "floor")],
)
def test_widths(name, value):
    have = getattr(simple(), name)
    assert refusal(simple(), **{name: value}) == (
        f"network tiny has {name} {have}, the accelerator has {value}."
    )


def test_accumulator_too_narrow():
    # 36 products of at most 128 fit 14 bits; 512 need 17 + 1.
    assert refusal(simple(), acc_bits=17) == (
        "layer logits needs acc_bits of at least 18, the accelerator has 17."
    )


def test_pooling_overflows_the_accumulator():
    pixels = image(4, 24, 24)
    pool = AvgPoolNode(
        name="pool", inputs=("image",), shape=(4, 1, 1), kernel=24, stride=1, multiplier=1,
        shift=9, **CODES,
    )  # fmt: skip
    # 576 codes of at most 128: 73,728.
    assert refusal(graph(pixels, pool), acc_bits=17) == (
        "layer pool needs acc_bits of at least 18, the accelerator has 17."
    )


def test_shift_too_large():
    pixels = image()
    first = conv("first", pixels)
    first.shift[2] = 40
    assert refusal(graph(pixels, first), acc_bits=24) == (
        "layer first shifts by 40, the accelerator by at most 39 (acc_bits + multiplier_bits - 1)."
    )


def test_shift_of_an_add_too_large():
    pixels = image()
    first = conv("first", pixels)
    add = AddNode(
        name="add", inputs=("first", "image"), shape=(4, 8, 8), multiplier_a=1, multiplier_b=1,
        shift=32, **CODES,
    )  # fmt: skip
    assert refusal(graph(pixels, first, add)) == (
        "residual add add shifts by 32, the accelerator by at most 31."
    )
