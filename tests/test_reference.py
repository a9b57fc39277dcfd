"""The reference itself: examples of its operations, worked by hand."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from tests import reference as ref


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
