"""The reference itself: examples worked by hand, and a brute force in pure Python integers."""

from __future__ import annotations

import time
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import reference as ref

ROUNDINGS = st.sampled_from(ref.ROUNDINGS)
FAST = settings(max_examples=300, deadline=None)


def values(array: Any) -> Any:
    return np.asarray(array).tolist()


# ------------------------------------------------------------------------------ by hand: image


def test_image_codes_at_eight_bits_are_the_pixels_less_128() -> None:
    assert values(ref.image_codes(np.arange(256), 8)) == list(range(-128, 128))


def test_image_codes_at_two_bits() -> None:
    # (3p + 127) // 255 - 2: 42 -> 253, 43 -> 256, 127 -> 508, 128 -> 511, 212 -> 763, 213 -> 766
    pixels = np.array([0, 42, 43, 127, 128, 212, 213, 255], np.uint8)
    assert values(ref.image_codes(pixels, 2)) == [-2, -2, -1, -1, 0, 0, 1, 1]


def test_image_codes_at_four_bits_do_not_overflow_uint8() -> None:
    # (15 * 200 + 127) // 255 = 3127 // 255 = 12
    assert values(ref.image_codes(np.array([[200]], np.uint8), 4)) == [[12 - 8]]


@pytest.mark.parametrize("pixel", [-1, 256])
def test_image_codes_refuse_what_is_no_pixel(pixel: int) -> None:
    with pytest.raises(ValueError, match="pixels"):
        ref.image_codes([pixel], 8)


# ------------------------------------------------------------------------ by hand: round-shift


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        # -10/4 = -2.5, -6/4 = -1.5, -2/4 = -0.5, then 0.5, 1.5, 2.5
        ("half_up", [-2, -1, 0, 1, 2, 3]),
        ("floor", [-3, -2, -1, 0, 1, 2]),
        ("half_even", [-2, -2, 0, 0, 2, 2]),
    ],
)
def test_half_way_cases(rounding: str, expected: list[int]) -> None:
    assert values(ref.round_shift([-10, -6, -2, 2, 6, 10], 2, rounding)) == expected


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        # -7/4 = -1.75, -5/4 = -1.25, -1/4, 1/4, 5/4, 7/4
        ("half_up", [-2, -1, 0, 0, 1, 2]),
        ("floor", [-2, -2, -1, 0, 1, 1]),
        ("half_even", [-2, -1, 0, 0, 1, 2]),
    ],
)
def test_cases_away_from_half_way(rounding: str, expected: list[int]) -> None:
    assert values(ref.round_shift([-7, -5, -1, 1, 5, 7], 2, rounding)) == expected


@pytest.mark.parametrize("rounding", ref.ROUNDINGS)
def test_shift_zero_changes_nothing(rounding: str) -> None:
    extremes = [-(2**63), -(2**62), -3, -1, 0, 1, 3, 2**62, 2**63 - 1]
    assert values(ref.round_shift(extremes, 0, rounding)) == extremes


def test_shift_one() -> None:
    assert values(ref.round_shift([-3, -1, 1, 3], 1, "half_up")) == [-1, 0, 1, 2]
    assert values(ref.round_shift([-3, -1, 1, 3], 1, "floor")) == [-2, -1, 0, 1]
    assert values(ref.round_shift([-3, -1, 1, 3], 1, "half_even")) == [-2, 0, 0, 2]


def test_wide_values_and_shifts() -> None:
    assert int(ref.round_shift(2**63 - 1, 1, "half_up")) == 2**62
    assert int(ref.round_shift(-(2**63), 63, "half_up")) == -1
    assert int(ref.round_shift(-(2**62), 63, "half_up")) == 0
    assert int(ref.round_shift(-(2**62), 63, "half_even")) == 0
    assert int(ref.round_shift(-1, 70, "floor")) == -1
    assert int(ref.round_shift(2**63, 1, "floor")) == 2**62
    assert int(ref.round_shift(3 * 2**70, 70, "half_even")) == 3
    assert int(ref.round_shift(2**63, 0, "half_even")) == 2**63


def test_round_shift_refuses() -> None:
    with pytest.raises(ValueError, match="rounding"):
        ref.round_shift(1, 1, "half_down")
    with pytest.raises(ValueError, match="negative"):
        ref.round_shift(1, -1, "floor")
    with pytest.raises(TypeError, match="integers"):
        ref.round_shift(1.5, 1, "floor")


# ------------------------------------------------------------------------ by hand: convolution

NINE = np.array([[[1, 2, 3], [4, 5, 6], [7, 8, 9]]], np.int8)


def test_convolution_is_a_correlation_with_bias() -> None:
    weight = np.array([[[[1, 0], [0, -1]]]], np.int8)
    # every window gives (top left) - (bottom right) = -4, and the bias is 10
    assert values(ref.convolve(NINE, weight, [10], 1, 0, 1, 1, 0)) == [[[6, 6], [6, 6]]]
    other = np.array([[[[0, 1], [2, 0]]]], np.int8)
    # 2 + 2*4, 3 + 2*5, 5 + 2*7, 6 + 2*8
    assert values(ref.convolve(NINE, other, [0], 1, 0, 1, 1, 0)) == [[[10, 13], [19, 22]]]


def test_padding_inserts_the_zero_point() -> None:
    ones = np.ones((1, 1, 3, 3), np.int8)
    # one code of 5 and eight of the zero point -3; bias - zp_in * sum(w) = 27 makes it real 8
    assert values(ref.convolve([[[5]]], ones, [0], 1, 1, 1, 1, -3)) == [[[5 - 24]]]
    assert values(ref.convolve([[[5]]], ones, [27], 1, 1, 1, 1, -3)) == [[[8]]]


def test_stride_two_with_odd_and_even_sizes() -> None:
    point = np.ones((1, 1, 1, 1), np.int8)
    assert values(ref.convolve(NINE, point, [0], 2, 0, 1, 1, 0)) == [[[1, 3], [7, 9]]]
    ones = np.ones((1, 1, 3, 3), np.int8)
    # centres at the four corners: 1+2+4+5, 2+3+5+6, 4+5+7+8, 5+6+8+9
    assert values(ref.convolve(NINE, ones, [0], 2, 1, 1, 1, 0)) == [[[12, 16], [24, 28]]]
    even = np.arange(1, 17).reshape(1, 4, 4)
    # centres at (0, 0), (0, 2), (2, 0), (2, 2); the last row and column end no window
    sums = [[1 + 2 + 5 + 6, 2 + 3 + 4 + 6 + 7 + 8], [5 + 6 + 9 + 10 + 13 + 14, 99]]
    assert values(ref.convolve(even, ones, [0], 2, 1, 1, 1, 0)) == [sums]


def test_dilation_two() -> None:
    x = np.arange(25).reshape(1, 5, 5)
    weight = np.array([[[[1, 10], [100, 1000]]]], np.int16)
    # at (i, j): x[i, j] + 10 x[i, j+2] + 100 x[i+2, j] + 1000 x[i+2, j+2]
    acc = ref.convolve(x, weight, [0], 1, 0, 2, 1, 0)
    assert acc.shape == (1, 3, 3)
    assert int(acc[0, 0, 0]) == 0 + 20 + 1000 + 12000
    assert int(acc[0, 2, 2]) == 12 + 140 + 2200 + 24000
    ones = np.ones((1, 1, 3, 3), np.int8)
    # padding 2 keeps the size: at the corner x[0, 0], x[0, 2], x[2, 0], x[2, 2], and five of 1
    same = ref.convolve(x, ones, [0], 1, 2, 2, 1, 1)
    assert same.shape == (1, 5, 5)
    assert int(same[0, 0, 0]) == 0 + 2 + 10 + 12 + 5


def test_groups_and_depthwise() -> None:
    x = np.array([1, 2, 3, 4]).reshape(4, 1, 1)
    weight = np.array([[1, 10], [-1, 1], [1, 10], [-1, 1]], np.int8).reshape(4, 2, 1, 1)
    grouped = ref.convolve(x, weight, [0, 0, 0, 100], 1, 0, 1, 2, 0)
    assert values(grouped.reshape(-1)) == [21, 1, 43, 101]
    own = np.array([5, -6, 7, -8], np.int8).reshape(4, 1, 1, 1)
    depthwise = ref.convolve(x, own, [0, 0, 0, 1], 1, 0, 1, 4, 0)
    assert values(depthwise.reshape(-1)) == [5, -12, 21, -31]
    # a depthwise layer with a channel multiplier of 2: channels out 2c and 2c + 1 read c
    doubled = np.array([1, 2, 3, 4], np.int8).reshape(4, 1, 1, 1)
    out = ref.convolve([[[10]], [[100]]], doubled, [0] * 4, 1, 0, 1, 2, 0)
    assert values(out.reshape(-1)) == [10, 20, 300, 400]


def test_extreme_codes_are_exact() -> None:
    x = np.full((2048, 3, 3), -128, np.int8)
    weight = np.full((1, 2048, 3, 3), -127, np.int8)
    acc = ref.convolve(x, weight, [-1], 1, 0, 1, 1, 0)
    assert acc.dtype == np.int64
    assert values(acc) == [[[2048 * 9 * 128 * 127 - 1]]]
    large = ref.convolve([[[-128]]], [[[[127]]]], [-(2**62)], 1, 0, 1, 1, 0)
    assert values(large) == [[[-(2**62) - 16256]]]
    with pytest.raises(OverflowError):
        ref.convolve([[[1]]], [[[[1]]]], [2**63 - 1], 1, 0, 1, 1, 0)


def test_convolution_refuses() -> None:
    with pytest.raises(ValueError, match="groups"):
        ref.convolve(NINE, np.ones((2, 2, 1, 1), np.int8), [0, 0], 1, 0, 1, 1, 0)
    with pytest.raises(ValueError, match="fit"):
        ref.convolve(NINE, np.ones((1, 1, 4, 4), np.int8), [0], 1, 0, 1, 1, 0)


def test_a_usual_layer_is_fast() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (16, 32, 32), dtype=np.int8)
    weight = rng.integers(-127, 128, (16, 16, 3, 3), dtype=np.int8)
    start = time.perf_counter()
    acc = ref.convolve(x, weight, np.zeros(16, np.int64), 1, 1, 1, 1, 0)
    assert acc.shape == (16, 32, 32)
    assert time.perf_counter() - start < 1.0  # 0.2 s is meant; a busy machine is forgiven


# ------------------------------------------------------------------------ by hand: requantize


def test_requantize_per_channel() -> None:
    acc = np.array([100, -100]).reshape(2, 1, 1)
    # 100 * 3 / 2^3 = 37.5 -> 38; -100 * 5 / 2^4 = -31.25 -> -31; zero point -7
    v = ref.requantize(acc, [3, 5], [3, 4], -7, "half_up", 3)
    assert values(v.reshape(-1)) == [31, -38]
    # 300 + 10 and -500 + 10: nothing is clamped here
    assert values(ref.requantize(acc, [3, 5], [0, 0], 10, "floor", 3).reshape(-1)) == [310, -490]


def test_requantize_negative_half_way_in_all_roundings() -> None:
    acc = np.array([[[-3, -1, 1, 3]]])  # times 3, over 2: -4.5, -1.5, 1.5, 4.5
    for rounding, expected in (
        ("half_up", [-4, -1, 2, 5]),
        ("floor", [-5, -2, 1, 4]),
        ("half_even", [-4, -2, 2, 4]),
    ):
        assert values(ref.requantize(acc, [3], [1], 0, rounding, 2)) == [[expected]]


def test_no_multiplier() -> None:
    acc = np.array([[[-24, 24]]])
    assert values(ref.requantize(acc, [1], [4], 1, "half_up", 0)) == [[[0, 3]]]
    assert values(ref.requantize(acc, [99], [4], 1, "floor", 0)) == [[[-1, 2]]]


def test_requantize_beyond_63_bits() -> None:
    acc = np.array([[[2**46, -(2**46)]]])
    v = ref.requantize(acc, [2**24 - 1], [60], 5, "half_up", 24)
    # 2^46 (2^24 - 1) / 2^60 = 2^10 - 2^-14
    assert values(v) == [[[1029, -1019]]]
    floor = ref.requantize(acc, [2**24 - 1], [60], 5, "floor", 24)
    assert values(floor) == [[[1028, -1019]]]


@pytest.mark.parametrize("multiplier", [-1, 4])
def test_requantize_refuses_a_multiplier_too_wide(multiplier: int) -> None:
    with pytest.raises(ValueError, match="unsigned"):
        ref.requantize([[[1]]], [multiplier], [0], 0, "floor", 2)


# ---------------------------------------------------------------------------- by hand: guards


def test_output_guard() -> None:
    v = np.array([[[-9, -4, 0, 6, 7]], [[-9, -4, 0, 6, 7]]])
    bound, count = ref.output_guard(v, [-4, -8], [6, 0], "bound", 2, 8)
    assert values(bound) == [[[-4, -4, 0, 6, 6]], [[-8, -4, 0, 0, 0]]]
    assert count == 5
    zero, count = ref.output_guard(v, [-4, -8], [6, 0], "zero", 2, 8)
    assert values(zero) == [[[2, -4, 0, 6, 2]], [[2, -4, 0, 2, 2]]]
    assert count == 5


def test_output_guard_at_the_extremes_never_fires() -> None:
    v = np.array([[[-40000, -32768, 32767, 40000]]])  # act_bits 8: 16 bits signed
    for mode in ref.GUARD_MODES:
        guarded, count = ref.output_guard(v, [-32768], [32767], mode, 0, 8)
        assert values(guarded) == [[[-32768, -32768, 32767, 32767]]]
        assert count == 0
    narrow, count = ref.output_guard(v, [-32767], [512], "bound", 0, 8)
    assert values(narrow) == [[[-32767, -32767, 512, 512]]]
    assert count == 4
    two_bits, count = ref.output_guard([[[511, 512, -513]]], [-512], [511], "zero", 0, 2)
    assert values(two_bits) == [[[511, 511, -512]]]
    assert count == 0


def test_input_guard() -> None:
    a = np.array([[[-8, -3, 0]], [[2, 3, 7]]], np.int8)
    bound, count = ref.input_guard(a, -3, 2, "bound", -8)
    assert values(bound) == [[[-3, -3, 0]], [[2, 2, 2]]]
    assert count == 3
    zero, count = ref.input_guard(a, -3, 2, "zero", -8)
    assert values(zero) == [[[-8, -3, 0]], [[2, -8, -8]]]
    assert count == 3
    with pytest.raises(ValueError, match="mode"):
        ref.input_guard(a, 0, 0, "clip", 0)


# ------------------------------------------------------------------- by hand: the other layers


def test_add() -> None:
    a, b = np.array([[[5, -128, 127, -8]]], np.int8), np.array([[[3, -128, 127, 1]]], np.int8)
    # (a + 8) * 3 + (b - 1) * 2 = 43, -618, 657, 0; over 4: 10.75, -154.5, 164.25, 0; plus -2
    y = ref.add(a, b, -8, 1, 3, 2, 2, -2, -128, 127, "half_up")
    assert values(y) == [[[9, -128, 127, -2]]]
    y = ref.add(a, b, -8, 1, 3, 2, 2, -2, -1000, 1000, "floor")
    assert values(y) == [[[8, -157, 162, -2]]]
    y = ref.add(a, b, -8, 1, 3, 2, 2, -2, -1000, 1000, "half_even")
    assert values(y) == [[[9, -156, 162, -2]]]
    y = ref.add(a, b, -8, 1, 3, 2, 2, -2, -2, 8, "half_up")  # ReLU, with a ceiling
    assert values(y) == [[[8, -2, 8, -2]]]


def test_average_pool() -> None:
    x = np.array([[[1, 2, 3, 4], [5, 6, 7, 9]]])
    # window sums less 4 * zp_in (4): 10, 19; times 1 over 4: 2.5, 4.75; plus -1
    assert values(ref.average_pool(x, 2, 2, 0, 1, 2, 1, -1, -128, 127, "half_up")) == [[[2, 4]]]
    assert values(ref.average_pool(x, 2, 2, 0, 1, 2, 1, -1, -128, 127, "floor")) == [[[1, 3]]]
    assert values(ref.average_pool(x, 2, 2, 0, 1, 2, 1, -1, -128, 127, "half_even")) == [[[1, 4]]]
    assert values(ref.average_pool(x, 2, 2, 0, 1, 2, 1, -1, -128, 3, "half_up")) == [[[2, 3]]]


def test_average_pool_counts_padding_as_the_zero_point() -> None:
    x = np.full((1, 3, 3), 11)
    # zero point 3: real 8 everywhere; of the 9 places 4 (corner), 6 (edge) or 9 are inside;
    # 57/512 stands for 1/9: 32*57/512 = 3.56, 48*57/512 = 5.34, 72*57/512 = 8.02
    y = ref.average_pool(x, 3, 1, 1, 57, 9, 3, 0, -128, 127, "half_up")
    assert values(y) == [[[4, 5, 4], [5, 8, 5], [4, 5, 4]]]


def test_max_pool() -> None:
    x = np.array([[[-8, -7, -8], [-8, -8, -5], [-6, -8, -8]]], np.int8)
    assert values(ref.max_pool(x, 2, 1, 0)) == [[[-7, -5], [-6, -5]]]
    assert values(ref.max_pool(x, 2, 2, 0)) == [[[-7]]]  # odd size: the rest ends no window
    # padding never wins, not even over the lowest code
    assert values(ref.max_pool(x, 3, 2, 1)) == [[[-7, -5], [-6, -5]]]
    assert values(ref.max_pool(np.full((1, 1, 1), -128, np.int8), 3, 2, 1)) == [[[-128]]]
    with pytest.raises(ValueError, match="padding"):
        ref.max_pool(x, 1, 1, 1)


def test_shortcut() -> None:
    y = ref.shortcut(NINE, 2, 3, -5)
    assert values(y) == [[[1, 3], [7, 9]], [[-5, -5], [-5, -5]], [[-5, -5], [-5, -5]]]
    assert values(ref.shortcut([[[1, 2, 3, 4]]], 2, 1, 0)) == [[[1, 3]]]
    assert values(ref.shortcut([[[1, 2]]], 1, 2, 7)) == [[[1, 2]], [[7, 7]]]
    with pytest.raises(ValueError, match="drop"):
        ref.shortcut(np.zeros((2, 1, 1), np.int8), 1, 1, 0)


def test_concat() -> None:
    joined = ref.concat([np.array([[[1]]], np.int8), np.array([[[2]], [[3]]])])
    assert values(joined) == [[[1]], [[2]], [[3]]]


def test_accumulator_bits() -> None:
    # 5 + 8 * 3 = 29: 5 bits and the sign; 15 + 8 * 2 = 31 is still 5 bits; 32 is 6
    weight = np.array([[[[1, -2]]], [[[-1, 1]]]], np.int8)
    assert ref.accumulator_bits(weight, [-5, 15], 4) == 6
    assert ref.accumulator_bits(weight, [-5, 16], 4) == 7
    assert ref.accumulator_bits(weight, [-5, -16], 4) == 7
    assert ref.accumulator_bits(np.zeros((1, 1, 1, 1), np.int8), [0], 8) == 1
    assert ref.accumulator_bits(np.full((1, 1, 1, 1), -127, np.int8), [0], 8) == 15


def test_wrap() -> None:
    assert values(ref.wrap([7, 8, 15, 16, -8, -9, -17], 4)) == [7, -8, -1, 0, -8, 7, -1]
    assert values(ref.wrap([0, 1, -1, 2], 1)) == [0, -1, -1, 0]
    assert values(ref.wrap([2**63 - 1, -(2**63)], 64)) == [2**63 - 1, -(2**63)]
    assert values(ref.wrap([2**62, -(2**62) - 1], 63)) == [-(2**62), 2**62 - 1]
    assert int(ref.wrap(2**63 + 5, 20)) == 5


def test_class_is_the_lowest_index_of_the_maximum() -> None:
    assert ref.classify(np.array([-3, 5, 5, 2]).reshape(4, 1, 1)) == 1


# -------------------------------------------------------------------------- by hand: a graph


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


# ------------------------------------------------------------- properties, against brute force


def exact_round(v: int, shift: int, rounding: str) -> int:
    """Rounding by the definition of nearest, through fractions: no shifts."""
    value = Fraction(v, 2**shift)
    floor = value.numerator // value.denominator
    if rounding == "floor":
        return floor
    if rounding == "half_up":
        return floor + (value - floor >= Fraction(1, 2))
    return round(value)  # Python rounds a Fraction half to even


def at(x: list[Any], c: int, i: int, j: int, outside: int) -> int:
    if 0 <= i < len(x[c]) and 0 <= j < len(x[c][0]):
        return int(x[c][i][j])
    return outside


def size_out(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """How many positions lie inside, by counting."""
    reach = dilation * (kernel - 1)
    return sum(1 for start in range(0, size + 2 * padding - reach, stride))


@FAST
@given(st.integers(-(2**80), 2**80), st.integers(0, 90), ROUNDINGS)
def test_round_shift_against_fractions(v: int, shift: int, rounding: str) -> None:
    assert int(ref.round_shift(np.array(v, object), shift, rounding)) == exact_round(
        v, shift, rounding
    )


@FAST
@given(st.lists(st.integers(-300, 300), min_size=1), st.integers(0, 9), ROUNDINGS)
def test_round_shift_of_small_values(many: list[int], shift: int, rounding: str) -> None:
    rounded = ref.round_shift(many, shift, rounding)
    assert rounded.dtype == np.int64
    assert values(rounded) == [exact_round(v, shift, rounding) for v in many]


@FAST
@given(st.data())
def test_layer_against_brute_force(data: st.DataObject) -> None:
    draw = data.draw
    act_bits = draw(st.integers(2, 8))
    weight_bits = draw(st.integers(2, 8))
    groups = draw(st.integers(1, 3))
    per_group, out_per_group = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    kernel_h, kernel_w = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    stride, padding = draw(st.integers(1, 3)), draw(st.integers(0, 2))
    dilation, offset = draw(st.integers(1, 2)), draw(st.integers(0, 2))
    height = draw(st.integers(max(1, offset + dilation * (kernel_h - 1) + 1 - 2 * padding), 7))
    width = draw(st.integers(max(1, offset + dilation * (kernel_w - 1) + 1 - 2 * padding), 7))
    multiplier_bits = draw(st.sampled_from([0, 1, 8, 16]))
    rounding = draw(ROUNDINGS)
    lowest, highest = -(2 ** (act_bits - 1)), 2 ** (act_bits - 1) - 1
    top = 2 ** (weight_bits - 1) - 1
    code = st.integers(lowest, highest)
    zero_in, zero_out = draw(code), draw(code)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    extreme = draw(st.booleans())  # only the outermost codes and weights

    def draw_array(lo: int, hi: int, *shape: int) -> Any:
        if extreme:
            return values(rng.choice([lo, hi], shape))
        return values(rng.integers(lo, hi + 1, shape))

    channels, filters = groups * per_group, groups * out_per_group
    x = draw_array(lowest, highest, channels, height, width)
    weight = draw_array(-top, top, filters, per_group, kernel_h, kernel_w)
    bias = [
        int(rng.integers(-1000, 1001)) - zero_in * sum(w for p in f for row in p for w in row)
        for f in weight
    ]
    multiplier = values(rng.integers(0, 2**multiplier_bits, filters))
    acc_bits = ref.accumulator_bits(weight, bias, act_bits)
    shift = values(rng.integers(0, acc_bits + multiplier_bits, filters))
    width_v = 2 ** (act_bits + 7)
    guard_lo = values(rng.integers(-width_v, width_v, filters))
    guard_hi = [int(rng.integers(lo, width_v)) for lo in guard_lo]
    input_lo = draw(code)
    input_hi = draw(st.integers(input_lo, highest))
    mode = draw(st.sampled_from([None, "bound", "zero"]))
    lo = draw(code)
    hi = draw(st.integers(lo, highest))

    replaced_in = replaced_out = 0
    entering = [[list(row) for row in plane] for plane in x]
    if mode:
        for plane in entering:
            for row in plane:
                for j, a in enumerate(row):
                    if a < input_lo:
                        row[j], replaced_in = (input_lo, zero_in)[mode == "zero"], replaced_in + 1
                    elif a > input_hi:
                        row[j], replaced_in = (input_hi, zero_in)[mode == "zero"], replaced_in + 1
    rows = size_out(height - offset, kernel_h, stride, padding, dilation)
    columns = size_out(width - offset, kernel_w, stride, padding, dilation)
    sums, expected = [], []
    for f in range(filters):
        for i in range(rows):
            for j in range(columns):
                acc = bias[f]
                for c in range(per_group):
                    source = f // out_per_group * per_group + c
                    for u in range(kernel_h):
                        for w in range(kernel_w):
                            y = i * stride + u * dilation - padding + offset
                            z = j * stride + w * dilation - padding + offset
                            acc += weight[f][c][u][w] * at(entering, source, y, z, zero_in)
                sums.append(acc)
                assert -(2 ** (acc_bits - 1)) <= acc < 2 ** (acc_bits - 1)
                factor = multiplier[f] if multiplier_bits else 1
                v = exact_round(acc * factor, shift[f], rounding) + zero_out
                if mode:
                    v = sorted((-width_v, v, width_v - 1))[1]
                    nearer = sorted((guard_lo[f], v, guard_hi[f]))[1]
                    if nearer != v:
                        v, replaced_out = (nearer, zero_out)[mode == "zero"], replaced_out + 1
                expected.append(sorted((lo, v, hi))[1])

    conv = node(
        "conv",
        "conv",
        ["image"],
        (filters, rows, columns),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        offset=offset,
        weight=np.array(weight, np.int8),
        bias=np.array(bias),
        multiplier=np.array(multiplier),
        shift=np.array(shift),
        guard_lo=np.array(guard_lo),
        guard_hi=np.array(guard_hi),
        input_lo=input_lo,
        input_hi=input_hi,
        zero_point=zero_out,
        lo=lo,
        hi=hi,
    )
    image = node("image", "input", [], (channels, height, width), zero_point=zero_in)
    graph = SimpleNamespace(
        nodes=[image, conv], act_bits=act_bits, multiplier_bits=multiplier_bits, rounding=rounding
    )
    acc_array = ref.convolve(
        entering, weight, bias, stride, padding, dilation, groups, zero_in, offset
    )
    assert values(acc_array.reshape(-1)) == sums
    np.testing.assert_array_equal(ref.wrap(acc_array, acc_bits), acc_array)
    counts: dict[str, ref.GuardCounts] = {}
    tensors = ref.run(graph, np.array(x, np.int8), mode, counts=counts)
    assert values(tensors["conv"].reshape(-1)) == expected
    assert counts["conv"] == (replaced_in, replaced_out)


@FAST
@given(st.data())
def test_dense_is_a_full_map_kernel(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.integers(1, 4)) for _ in range(3))
    classes = data.draw(st.integers(1, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    x = rng.integers(-128, 128, shape)
    weight = rng.integers(-127, 128, (classes, *shape))
    bias = rng.integers(-(2**20), 2**20, classes)
    flat = values(x.reshape(-1))
    dot = [
        sum(a * w for a, w in zip(flat, row, strict=True)) + b
        for row, b in zip(values(weight.reshape(classes, -1)), values(bias), strict=True)
    ]
    dense = node(
        "dense", "dense", ["image"], (classes, 1, 1), **layer(weight, values(bias), [0] * classes)
    )
    dense.lo, dense.hi = -(2**40), 2**40
    graph = SimpleNamespace(
        nodes=[node("image", "input", [], shape), dense],
        act_bits=8,
        multiplier_bits=0,
        rounding="floor",
    )
    assert values(ref.run(graph, x)["dense"].reshape(-1)) == dot
    dense.weight = np.zeros((classes, shape[0] + 1, *shape[1:]), np.int8)
    with pytest.raises(ValueError, match="whole input map"):
        ref.run(graph, x)


@FAST
@given(st.data())
def test_pools_against_brute_force(data: st.DataObject) -> None:
    draw = data.draw
    kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, kernel // 2))
    smallest = max(1, kernel - 2 * padding)
    channels, height, width = (
        draw(st.integers(1, 3)),
        draw(st.integers(smallest, 7)),
        draw(st.integers(smallest, 7)),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.integers(-128, 128, (channels, height, width), dtype=np.int8)
    listed = values(x)
    multiplier, shift, rounding = (
        draw(st.integers(0, 255)),
        draw(st.integers(0, 14)),
        draw(ROUNDINGS),
    )
    zero_in, zero_out = draw(st.integers(-128, 127)), draw(st.integers(-128, 127))
    lo = draw(st.integers(-128, 127))
    hi = draw(st.integers(lo, 127))
    largest, means = [], []
    for c in range(channels):
        for i in range(size_out(height, kernel, stride, padding)):
            for j in range(size_out(width, kernel, stride, padding)):
                places = [
                    (i * stride - padding + u, j * stride - padding + w)
                    for u in range(kernel)
                    for w in range(kernel)
                ]
                inside = [(y, z) for y, z in places if 0 <= y < height and 0 <= z < width]
                largest.append(max((listed[c][y][z] for y, z in inside), default=None))
                total = sum(at(listed, c, y, z, zero_in) - zero_in for y, z in places)
                v = exact_round(total * multiplier, shift, rounding) + zero_out
                means.append(sorted((lo, v, hi))[1])
    if None not in largest:
        assert values(ref.max_pool(x, kernel, stride, padding).reshape(-1)) == largest
    y = ref.average_pool(
        x, kernel, stride, padding, multiplier, shift, zero_in, zero_out, lo, hi, rounding
    )
    assert values(y.reshape(-1)) == means


@FAST
@given(
    st.lists(st.tuples(st.integers(-128, 127), st.integers(-128, 127)), min_size=1, max_size=9),
    st.tuples(st.integers(-128, 127), st.integers(-128, 127), st.integers(-128, 127)),
    st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1), st.integers(0, 40)),
    ROUNDINGS,
)
def test_add_against_brute_force(
    pairs: list[tuple[int, int]],
    zeros: tuple[int, int, int],
    scaling: tuple[int, int, int],
    rounding: str,
) -> None:
    (zero_a, zero_b, zero_out), (m_a, m_b, shift) = zeros, scaling
    a = np.array([[[a for a, _ in pairs]]], np.int8)
    b = np.array([[[b for _, b in pairs]]], np.int8)
    expected = []
    for left, right in pairs:
        total = (left - zero_a) * m_a + (right - zero_b) * m_b
        expected.append(min(127, max(-128, exact_round(total, shift, rounding) + zero_out)))
    y = ref.add(a, b, zero_a, zero_b, m_a, m_b, shift, zero_out, -128, 127, rounding)
    assert values(y) == [[expected]]


@FAST
@given(st.integers(-(2**70), 2**70), st.integers(1, 64))
def test_wrap_against_the_definition(value: int, bits: int) -> None:
    wrapped = int(ref.wrap(np.array(value, object), bits))
    assert -(2 ** (bits - 1)) <= wrapped < 2 ** (bits - 1)
    assert (wrapped - value) % 2**bits == 0


def test_image_codes_are_nearest() -> None:
    for act_bits in range(2, 9):
        exact = [Fraction(p * (2**act_bits - 1), 255) for p in range(256)]  # never half way
        codes = values(ref.image_codes(np.arange(256, dtype=np.uint8), act_bits))
        assert codes == [round(value) - 2 ** (act_bits - 1) for value in exact]
