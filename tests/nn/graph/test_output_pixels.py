"""Single output pixels against the independent reference; edge values of requantization first."""

import numpy as np
import pytest

from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.graph import AvgPoolNode, ConvNode, Graph, InputNode, MaxPoolNode
from holdfast.nn.graph.output_pixels import OutputPixels, rounded
from tests import reference


def graph_of(node, shape, rounding="half_up", multiplier_bits=24):
    image = InputNode(name="image", shape=shape, scale=1.0, zero_point=-3, lo=-128, hi=127)
    return Graph("one", 8, 8, multiplier_bits, rounding, node.shape[0], [image, node])


def conv(weight, bias, multiplier, shift, side=4, **fields):
    out = len(weight)
    return ConvNode(
        name="conv", inputs=("image",), shape=(out, side, side), scale=1.0, zero_point=5, lo=-120,
        hi=115, weight=np.array(weight, np.int8), bias=np.array(bias, np.int64),
        multiplier=np.array(multiplier, np.int64), shift=np.array(shift, np.int64),
        guard_lo=np.full(out, -40), guard_hi=np.full(out, 31), input_lo=-90, input_hi=60, **fields,
    )  # fmt: skip


def images(shape):
    draw = np.random.default_rng(7)
    codes = draw.integers(-128, 128, shape).astype(np.int8)
    codes.ravel()[:6] = [-128, 127, 0, -1, -90, 60]
    return codes


def every_pixel(golden, node, codes):
    """All output pixels of the image, and violations of each."""
    layer = OutputPixels(golden, node, codes)
    assert layer.exact
    found = [layer.codes(windows) for windows in layer.windows.golden()]
    rows, bad = (np.concatenate(part) for part in zip(*found, strict=True))
    return rows.T.reshape(node.shape), bad


@pytest.mark.parametrize("rounding", reference.ROUNDINGS)
@pytest.mark.parametrize(
    ("multiplier", "shift"), [(1, 0), (1, 1), (3, 1), (1, 7), ((1 << 24) - 1, 27), (1 << 23, 40)]
)
@pytest.mark.parametrize("guard", [None, "bound", "zero"])
def test_convolution(rounding, multiplier, shift, guard):
    node = conv([[[[1]]], [[[-127]]], [[[64]]]], [0, 1, -77], [multiplier] * 3, [shift] * 3)
    graph, codes = graph_of(node, (1, 4, 4), rounding), images((1, 4, 4))
    counts = {}
    wanted = reference.run(graph, codes, guard, counts=counts)["conv"]
    found, bad = every_pixel(Golden(graph, guard, guard), node, codes)
    assert np.array_equal(found, wanted)
    assert bad.sum() == (counts["conv"].output if guard else 0)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups(groups):
    draw = np.random.default_rng(groups)
    weight = draw.integers(-127, 128, (8, 4 // groups, 3, 3))
    node = conv(weight, [0] * 8, [1 << 20] * 8, [31] * 8, groups=groups, padding=1)
    graph, codes = graph_of(node, (4, 4, 4)), images((4, 4, 4))
    found, _ = every_pixel(Golden(graph), node, codes)
    assert np.array_equal(found, reference.run(graph, codes)["conv"])


@pytest.mark.parametrize("rounding", reference.ROUNDINGS)
@pytest.mark.parametrize("guard", [None, "zero"])
def test_average_pooling(rounding, guard):
    node = AvgPoolNode(
        name="mean", inputs=("image",), shape=(3, 2, 2), scale=1.0, zero_point=7, lo=7, hi=100,
        kernel=3, stride=2, padding=1, multiplier=(1 << 24) - 1, shift=19,
    )  # fmt: skip
    graph, codes = graph_of(node, (3, 4, 4), rounding), images((3, 4, 4))
    counts = {}
    wanted = reference.run(graph, codes, guard, fixed_bounds=True, counts=counts)["mean"]
    found, bad = every_pixel(Golden(graph, guard, fixed_bound=512), node, codes)
    assert np.array_equal(found, wanted)
    assert bad.sum() == (counts["mean"].output if guard else 0)
    assert guard is None or bad.sum() > 0


def test_padding_never_wins_a_maximum():
    node = MaxPoolNode(
        name="top", inputs=("image",), shape=(2, 5, 5), scale=1.0, zero_point=-3, lo=-128, hi=127,
        kernel=2, stride=1, padding=1,
    )  # fmt: skip
    graph = graph_of(node, (2, 4, 4))
    codes = np.minimum(images((2, 4, 4)), -4)
    found, _ = every_pixel(Golden(graph), node, codes)
    assert np.array_equal(found, reference.run(graph, codes)["top"])


@pytest.mark.parametrize(
    ("multiplier", "shift", "exact"),
    [(1, 52, True), (1, 53, False), ((1 << 24) - 1, 0, True), ((1 << 24) - 1, 55, False)],
)
def test_what_float64_does_not_hold_is_said(multiplier, shift, exact):
    node = conv([[[[127]]]], [0], [multiplier], [shift])
    golden = Golden(graph_of(node, (1, 4, 4)))
    layer = OutputPixels(golden, node, np.zeros((1, 4, 4), np.int8))
    assert layer.exact == exact
    wide = conv([[[[127]]]], [(1 << 31) - 16257], [(1 << 22)], [40])
    golden = Golden(graph_of(wide, (1, 4, 4)))
    assert not OutputPixels(golden, wide, np.zeros((1, 4, 4), np.int8)).exact


@pytest.mark.parametrize("rounding", reference.ROUNDINGS)
def test_halves(rounding):
    values = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.25, -0.25, 3, -(2.0**-40)])
    wanted = reference.round_shift([round(v * 2**40) for v in values], 40, rounding)
    rounded(values, rounding)
    assert values.tolist() == wanted.tolist()
