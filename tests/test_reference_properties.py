"""The reference against a brute force in pure Python integers."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import reference as ref
from tests.test_reference import values
from tests.test_reference_graphs import layer, node

ROUNDINGS = st.sampled_from(ref.ROUNDINGS)
FAST = settings(max_examples=300, deadline=None)


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
