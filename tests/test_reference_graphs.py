"""The reference on a whole graph, worked by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests import reference as ref
from tests.test_reference import values


def node(name: str, op: str, inputs: list[str], shape: tuple[int, int, int], **more: Any) -> Any:
    fields: dict[str, Any] = {"scale": 1.0, "zero_point": 0, "lo": -8, "hi": 7}
    return SimpleNamespace(name=name, op=op, inputs=inputs, shape=shape, **(fields | more))


def layer(weight: Any, bias: list[int], shift: list[int], **more: Any) -> dict[str, Any]:
    count = len(bias)
    return {
        "weight": np.array(weight, np.int8),
        "bias": np.array(bias),
        "multiplier": np.ones(count, np.int64),
        "shift": np.array(shift),
        "guard_lo": np.full(count, -2048),
        "guard_hi": np.full(count, 2047),
        "input_lo": -8,
        "input_hi": 7,
    } | more


def small_graph() -> Any:
    """Four-bit codes, zero point -8 up to the adder; 2 x 2 image; every op once."""
    geometry = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "offset": 0}
    pass_on = {"zero_point": -8}
    nodes = [
        node("image", "input", [], (1, 2, 2), zero_point=-8),
        # doubles the real value: 2 a, with - zp_in * sum(w) = 16 in the bias
        node(
            "twice",
            "conv",
            ["image"],
            (1, 2, 2),
            **layer([[[[2]]]], [16], [0]),
            **geometry,
            **pass_on,
        ),
        node("both", "concat", ["image", "twice"], (2, 2, 2), **pass_on),
        node("wide", "shortcut", ["both"], (3, 2, 2), stride=1, **pass_on),
        node(
            "sum",
            "add",
            ["wide", "wide"],
            (3, 2, 2),
            multiplier_a=3,
            multiplier_b=1,
            shift=2,
            zero_point=-2,
            lo=-2,
        ),
        node("top", "maxpool", ["sum"], (3, 1, 1), kernel=2, stride=2, padding=0, zero_point=-2),
        node(
            "mean",
            "avgpool",
            ["sum"],
            (3, 1, 1),
            kernel=2,
            stride=2,
            padding=0,
            multiplier=1,
            shift=2,
            zero_point=-2,
        ),
        node("ends", "concat", ["top", "mean"], (6, 1, 1), zero_point=-2),
        node(
            "score",
            "dense",
            ["ends"],
            (2, 1, 1),
            **layer(
                [[[[1]], [[1]], [[1]], [[0]], [[0]], [[0]]], [[[0]]] * 3 + [[[1]]] * 3],
                [6, 6],
                [1, 1],
            ),
        ),
    ]
    return SimpleNamespace(
        nodes=nodes, act_bits=4, weight_bits=4, multiplier_bits=0, rounding="half_up", classes=2
    )


IMAGE = np.array([[[-8, -7], [-5, -2]]], np.int8)  # real 0, 1, 3, 6


def test_run_without_a_guard() -> None:
    tensors = ref.run(small_graph(), IMAGE)
    assert values(tensors["image"]) == [[[-8, -7], [-5, -2]]]
    assert values(tensors["twice"]) == [[[-8, -6], [-2, 4]]]  # real 0, 2, 6, 12
    assert values(tensors["both"]) == [[[-8, -7], [-5, -2]], [[-8, -6], [-2, 4]]]
    assert values(tensors["wide"][2]) == [[-8, -8], [-8, -8]]
    # real values pass through the adder (3/4 + 1/4), zero point -2, clamped at 7
    assert values(tensors["sum"]) == [[[-2, -1], [1, 4]], [[-2, 0], [4, 7]], [[-2, -2], [-2, -2]]]
    assert values(tensors["top"].reshape(-1)) == [4, 7, -2]
    # real (0 + 1 + 3 + 6) / 4 = 2.5 -> 3, (0 + 2 + 6 + 9) / 4 = 4.25 -> 4, and 0
    assert values(tensors["mean"].reshape(-1)) == [1, 2, -2]
    # (4 + 7 - 2 + 6) / 2 = 7.5 -> 8, clamped; (1 + 2 - 2 + 6) / 2 = 3.5 -> 4
    assert values(tensors["score"].reshape(-1)) == [7, 4]
    assert ref.classify(tensors["score"]) == 0


def test_run_with_guards() -> None:
    graph = small_graph()
    for mode in ref.GUARD_MODES:  # bounds wide open change nothing
        counts: dict[str, ref.GuardCounts] = {}
        guarded = ref.run(graph, IMAGE, mode, counts=counts)
        for name, tensor in ref.run(graph, IMAGE).items():
            np.testing.assert_array_equal(guarded[name], tensor)
        assert counts == {"twice": (0, 0), "score": (0, 0)}
    twice = graph.nodes[1]
    twice.input_lo, twice.input_hi = -7, -3
    twice.guard_lo, twice.guard_hi = np.array([-7]), np.array([-3])
    counts = {}
    # input: -8 -> -7, -2 -> -3; then v = -6, -6, -2, 2; the last two -> -3
    bound = ref.run(graph, IMAGE, "bound", counts=counts)
    assert values(bound["twice"]) == [[[-6, -6], [-3, -3]]]
    assert counts["twice"] == (2, 2)
    # input: -8 -> -8 (counted), -2 -> -8; then v = -8, -6, -2, -8: three of them -> -8
    zero = ref.run(graph, IMAGE, "zero", counts=counts)
    assert values(zero["twice"]) == [[[-8, -6], [-8, -8]]]
    assert counts["twice"] == (2, 3)
    # each alone
    zero = ref.run(graph, IMAGE, "zero", check_output=False, counts=counts)
    assert values(zero["twice"]) == [[[-8, -6], [-2, -8]]]
    assert counts["twice"] == (2, 0)
    zero = ref.run(graph, IMAGE, "zero", check_input=False, counts=counts)
    assert values(zero["twice"]) == [[[-8, -6], [-8, -8]]]
    assert counts["twice"] == (0, 3)
    # what follows reads the guarded tensor; `image` itself is not changed
    assert values(zero["both"][1]) == [[-8, -6], [-8, -8]]
    assert values(bound["image"]) == [[[-8, -7], [-5, -2]]]


def test_run_gives_each_addend_its_own_zero_point() -> None:
    fields = {"multiplier_a": 1, "multiplier_b": 10, "shift": 0, "lo": -128, "hi": 127}
    left = node("left", "input", [], (1, 1, 1), zero_point=-3)
    right = node("right", "maxpool", ["left"], (1, 1, 1), kernel=1, stride=1, padding=0)
    right.zero_point = 4  # not what a lowering would write, but it tells the two apart
    total = node("total", "add", ["left", "right"], (1, 1, 1), zero_point=1, **fields)
    graph = SimpleNamespace(nodes=[left, right, total], act_bits=8, rounding="floor")
    # (6 + 3) * 1 + (6 - 4) * 10 + 1
    assert values(ref.run(graph, [[[6]]])["total"]) == [[[30]]]


def test_padding_is_exempt_from_the_input_guard() -> None:
    graph = small_graph()
    twice = graph.nodes[1]
    twice.padding, twice.weight = 1, np.ones((1, 1, 3, 3), np.int8)
    twice.bias, twice.input_lo = np.array([9 * 8]), -7
    twice.shift, twice.lo, twice.hi = np.array([0]), -1000, 1000
    counts: dict[str, ref.GuardCounts] = {}
    tensors = ref.run(graph, IMAGE, "bound", counts=counts)
    # -8 -> -7: real 1 + 1 + 3 + 6 = 11 in every window, the padding staying real 0
    assert values(tensors["twice"]) == [[[3, 3], [3, 3]]]
    assert counts["twice"] == (1, 0)


def test_run_refuses() -> None:
    graph = small_graph()
    with pytest.raises(ValueError, match="mode"):
        ref.run(graph, IMAGE, "clip")
    with pytest.raises(ValueError, match="the graph says"):
        ref.run(graph, np.zeros((1, 3, 3), np.int8))
    graph.nodes[-1].op = "softmax"
    with pytest.raises(ValueError, match="softmax"):
        ref.run(graph, IMAGE)
