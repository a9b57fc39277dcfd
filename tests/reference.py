"""A second, independent reading of the integer contract in docs/architecture.md, in plain NumPy.

Nothing here is shared with the golden model: it was written from the text of the contract alone,
so that an agreement of the two means something. One image at a time, activations as (C, H, W).

Arithmetic is exact. int64 is used where a bound computed beforehand shows that it suffices, and
arrays of Python ints (dtype object) where it does not; results that fit come back as int64.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[Any]  # int64, or object holding Python ints
Pair = int | Sequence[int]

ROUNDINGS = ("half_up", "floor", "half_even")
GUARD_MODES = ("bound", "zero")
GUARD_EXTRA_BITS = 8
_SAFE = 1 << 62  # magnitudes below this leave room for one addition in int64


class GuardCounts(NamedTuple):
    """Values replaced in one layer: codes at its input, pre-clamp values at its output."""

    input: int
    output: int


# ---------------------------------------------------------------------------------- helpers


def _ints(values: ArrayLike) -> Ints:
    """The values as int64, or as Python ints where they do not fit; no other kind of number."""
    array = np.asarray(values)
    if array.dtype == object:
        return array
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"integers are needed, not {array.dtype}")
    if array.dtype == np.uint64:
        return _narrow(array.astype(object))
    return array.astype(np.int64)


def _magnitude(values: Ints) -> int:
    """The largest absolute value, as a Python int (so that -2^63 is not a trap)."""
    if values.size == 0:
        return 0
    return max(abs(int(values.max())), abs(int(values.min())))


def _narrow(values: Any) -> Ints:
    """int64 where every value fits, otherwise unchanged."""
    array = np.asarray(values)
    if array.dtype == np.int64:
        return array
    array = array.astype(object)
    if array.size == 0 or (int(array.max()) < 1 << 63 and int(array.min()) >= -(1 << 63)):
        return array.astype(np.int64)
    return array


def _plus(values: Ints, offset: int) -> Ints:
    if _magnitude(values) >= _SAFE:
        values = values.astype(object)
    return _narrow(values + offset)


def _pair(value: Pair) -> tuple[int, int]:
    if isinstance(value, int | np.integer):
        return int(value), int(value)
    vertical, horizontal = value
    return int(vertical), int(horizontal)


def _channels(values: ArrayLike, like: Ints) -> Ints:
    """A scalar as it is; an array over channels shaped to broadcast against `like` (C, ...)."""
    array = _ints(values)
    if array.ndim == 0:
        return array
    if array.shape != like.shape[:1]:
        raise ValueError(f"{array.shape} does not match the channels of {like.shape}")
    return array.reshape((-1,) + (1,) * (like.ndim - 1))


def _pad(x: Ints, padding: Pair, value: int) -> Ints:
    vertical, horizontal = _pair(padding)
    channels, height, width = x.shape
    padded = np.full((channels, height + 2 * vertical, width + 2 * horizontal), value, x.dtype)
    padded[:, vertical : vertical + height, horizontal : horizontal + width] = x
    return padded


def _windows(padded: Ints, kernel: Pair, stride: Pair, dilation: Pair = 1) -> list[Ints]:
    """For each kernel position, in row-major order, the (C, H_out, W_out) codes it meets."""
    kernel_h, kernel_w = _pair(kernel)
    stride_h, stride_w = _pair(stride)
    dilation_h, dilation_w = _pair(dilation)
    height = (padded.shape[1] - dilation_h * (kernel_h - 1) - 1) // stride_h + 1
    width = (padded.shape[2] - dilation_w * (kernel_w - 1) - 1) // stride_w + 1
    if height < 1 or width < 1:
        raise ValueError(f"a kernel of {kernel} does not fit into {padded.shape}")
    return [
        padded[
            :,
            i * dilation_h : i * dilation_h + (height - 1) * stride_h + 1 : stride_h,
            j * dilation_w : j * dilation_w + (width - 1) * stride_w + 1 : stride_w,
        ]
        for i in range(kernel_h)
        for j in range(kernel_w)
    ]


def code_range(act_bits: int) -> tuple[int, int]:
    """The lowest and the highest code."""
    return -(1 << (act_bits - 1)), (1 << (act_bits - 1)) - 1


def clamp(v: ArrayLike, lo: int, hi: int) -> Ints:
    """y = clamp(v, lo, hi)."""
    return _narrow(np.minimum(np.maximum(_ints(v), lo), hi))


# -------------------------------------------------------------------------------- the contract


def image_codes(pixels: ArrayLike, act_bits: int) -> Ints:
    """Pixels 0..255 to codes; the zero point is the lowest code."""
    p = _ints(pixels)
    if p.size and (int(p.min()) < 0 or int(p.max()) > 255):
        raise ValueError("pixels are 0..255")
    return (p * ((1 << act_bits) - 1) + 127) // 255 - (1 << (act_bits - 1))


def round_shift(v: ArrayLike, shift: ArrayLike, rounding: str) -> Ints:
    """rs(v, S); `shift` is a scalar or broadcasts against v."""
    if rounding not in ROUNDINGS:
        raise ValueError(f"unknown rounding {rounding!r}")
    values, amount = _ints(v), _ints(shift)
    shape = np.broadcast_shapes(values.shape, amount.shape)
    # one dimension at least: arithmetic on a 0-d object array would leave a bare Python int
    values, amount = np.atleast_1d(values), np.atleast_1d(amount)
    if amount.size and int(amount.min()) < 0:
        raise ValueError("a shift is not negative")
    if _magnitude(values) >= _SAFE or _magnitude(amount) >= 62:
        values, amount = values.astype(object), amount.astype(object)
    one = np.ones_like(amount)
    half = (one << amount) >> 1  # 2^(S-1), and 0 where S = 0
    if rounding == "floor":
        rounded = values >> amount
    elif rounding == "half_up":
        rounded = (values + half) >> amount
    else:
        below = values >> amount
        rest = values - (below << amount)  # 0 <= rest < 2^S
        tie = (rest == half) & (amount > 0)
        rounded = below + ((rest > half) | tie & (below % 2 == 1))
    return _narrow(rounded).reshape(shape)


def convolve(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    zero_point_in: int,
    offset: int = 0,
) -> Ints:
    """acc = sum(a * w) + bias for one image (C, H, W). `bias` already holds -zp_in * sum(w).

    The first window begins at row and column `offset` of the padded image.
    """
    codes, kernels, offsets = _ints(x), _ints(weight), _ints(bias)
    channels_out, per_group, kernel_h, kernel_w = kernels.shape
    if codes.shape[0] != per_group * groups or channels_out % groups:
        raise ValueError(f"{codes.shape}, {kernels.shape} and {groups} groups do not agree")
    largest = max(_magnitude(codes), abs(zero_point_in))
    terms = per_group * kernel_h * kernel_w
    if largest * _magnitude(kernels) * terms + _magnitude(offsets) >= 1 << 63:
        raise OverflowError("the exact sum may not fit in 64 bits")

    padded = _pad(codes, padding, zero_point_in)[:, offset:, offset:]
    windows = _windows(padded, (kernel_h, kernel_w), stride, dilation)
    height, width = windows[0].shape[1:]
    # (position, group, channel out within the group, channel in within the group)
    by_position = kernels.reshape(
        groups, channels_out // groups, per_group, kernel_h * kernel_w
    ).transpose(3, 0, 1, 2)
    acc = np.zeros((groups, channels_out // groups, height * width), np.int64)
    for matrix, window in zip(by_position, windows, strict=True):
        acc += np.matmul(matrix, window.reshape(groups, per_group, height * width))
    return acc.reshape(channels_out, height, width) + offsets.reshape(-1, 1, 1)


def requantize(
    acc: ArrayLike,
    multiplier: ArrayLike,
    shift: ArrayLike,
    zero_point: int,
    rounding: str,
    multiplier_bits: int,
) -> Ints:
    """v = rs(acc * M[c], S[c]) + zp_out: before the output guard and the clamp."""
    sums = _ints(acc)
    if multiplier_bits == 0:
        factor = np.asarray(1, np.int64)
    else:
        factor = _channels(multiplier, sums)
        if factor.size and (int(factor.min()) < 0 or int(factor.max()) >> multiplier_bits):
            raise ValueError(f"a multiplier is unsigned, {multiplier_bits} bits wide")
    if _magnitude(sums) * _magnitude(factor) >= _SAFE:
        sums = sums.astype(object)
    rounded = round_shift(sums * factor, _channels(shift, sums), rounding)
    return _plus(rounded, zero_point)


def _check(values: Ints, lo: ArrayLike, hi: ArrayLike, mode: str, zero: int) -> tuple[Ints, int]:
    """Replace what lies outside [lo, hi] and count it."""
    if mode not in GUARD_MODES:
        raise ValueError(f"unknown guard mode {mode!r}")
    low, high = _channels(lo, values), _channels(hi, values)
    below, above = values < low, values > high
    replaced = np.where(below, low if mode == "bound" else zero, values)
    replaced = np.where(above, high if mode == "bound" else zero, replaced)
    return _narrow(replaced), int(np.count_nonzero(below | above))


def output_guard(
    v: ArrayLike,
    guard_lo: ArrayLike,
    guard_hi: ArrayLike,
    mode: str,
    zero_point_out: int,
    act_bits: int,
) -> tuple[Ints, int]:
    """The guarded v (before the final clamp) and the number of values replaced.

    v is saturated to act_bits + 8 bits first; that alone is not counted.
    """
    saturated = clamp(v, *code_range(act_bits + GUARD_EXTRA_BITS))
    return _check(saturated, guard_lo, guard_hi, mode, zero_point_out)


def fixed_range(zero_point: int, act_bits: int) -> tuple[int, int]:
    """Bounds of a guard without learnt ones: two ranges of the codes on either side."""
    return zero_point - 2 * 2**act_bits, zero_point + 2 * 2**act_bits - 1


def input_guard(
    a: ArrayLike, input_lo: int, input_hi: int, mode: str, zero_point_in: int
) -> tuple[Ints, int]:
    """The guarded codes of a layer's input, and how many were replaced.

    It is given the tensor before padding, since padding is exempt, and counts each code of the
    tensor once, however often the array fetches it.
    """
    return _check(_ints(a), input_lo, input_hi, mode, zero_point_in)


def add(
    a: ArrayLike,
    b: ArrayLike,
    zero_point_a: int,
    zero_point_b: int,
    multiplier_a: int,
    multiplier_b: int,
    shift: int,
    zero_point_out: int,
    lo: int,
    hi: int,
    rounding: str,
) -> Ints:
    """The residual add of two tensors of codes."""
    left = _ints(a).astype(object) - int(zero_point_a)
    right = _ints(b).astype(object) - int(zero_point_b)
    if left.shape != right.shape:
        raise ValueError(f"{left.shape} and {right.shape} cannot be added")
    total = _narrow(left * int(multiplier_a) + right * int(multiplier_b))
    return clamp(_plus(round_shift(total, shift, rounding), zero_point_out), lo, hi)


def average_pool(
    x: ArrayLike,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    multiplier: int,
    shift: int,
    zero_point_in: int,
    zero_point_out: int,
    lo: int,
    hi: int,
    rounding: str,
) -> Ints:
    """The scaled sum over each window; padding counts as zp_in, so it adds nothing."""
    real = _pad(_ints(x) - int(zero_point_in), padding, 0)
    total = sum(_windows(real, kernel, stride), start=np.zeros((), np.int64))
    scaled = _narrow(np.asarray(total).astype(object) * int(multiplier))
    return clamp(_plus(round_shift(scaled, shift, rounding), zero_point_out), lo, hi)


def max_pool(x: ArrayLike, kernel: Pair, stride: Pair, padding: Pair) -> Ints:
    """The largest code of each window; padding never wins."""
    below_all = int(np.iinfo(np.int64).min)
    windows = _windows(_pad(_ints(x), padding, below_all), kernel, stride)
    largest: Ints = np.stack(windows).max(axis=0)
    if (largest == below_all).any():
        raise ValueError("a window lies wholly in the padding")
    return largest


def shortcut(x: ArrayLike, stride: int, channels: int, zero_point: int) -> Ints:
    """y[c, i, j] = x[c, s*i, s*j]; channels that x does not have hold the zero point."""
    taken = _ints(x)[:, ::stride, ::stride]
    if channels < taken.shape[0]:
        raise ValueError("a shortcut does not drop channels")
    y = np.full((channels, *taken.shape[1:]), zero_point, np.int64)
    y[: taken.shape[0]] = taken
    return y


def concat(tensors: Sequence[ArrayLike]) -> Ints:
    """Concatenation along channels."""
    return np.concatenate([_ints(tensor) for tensor in tensors], axis=0)


def accumulator_bits(weight: ArrayLike, bias: ArrayLike, act_bits: int) -> int:
    """The least acc_bits of a layer: bit_length(B) + 1."""
    largest = 1 << (act_bits - 1)
    bounds = [
        abs(int(offset)) + largest * int(np.abs(kernel).sum())
        for kernel, offset in zip(_ints(weight), _ints(bias), strict=True)
    ]
    return max(bounds).bit_length() + 1


def wrap(acc: ArrayLike, acc_bits: int) -> Ints:
    """The signed value of acc modulo 2^acc_bits."""
    values = _ints(acc)
    if acc_bits > 62:
        values = values.astype(object)
    low = values & ((1 << acc_bits) - 1)
    return _narrow(low - ((low & (1 << (acc_bits - 1))) << 1))


def classify(codes: ArrayLike) -> int:
    """The class: the lowest index among the maxima of the last tensor's codes."""
    return int(np.argmax(_ints(codes).reshape(-1)))


# ------------------------------------------------------------------------------------ the graph


def run(
    graph: Any,
    codes: ArrayLike,
    guard: str | None = None,
    *,
    check_input: bool = True,
    check_output: bool = True,
    fixed_bounds: bool = False,
    counts: MutableMapping[str, GuardCounts] | None = None,
) -> dict[str, Ints]:
    """Every tensor of the graph for one image of codes (C, H, W), by the name of its node.

    `guard` is None or a mode; the two checks can then be turned off one by one. With `fixed_bounds`
    the output check is that of a guard without learnt bounds, which average poolings have too.
    `counts`, where given, receives the replaced values of each layer that is checked.
    """
    if guard is not None and guard not in GUARD_MODES:
        raise ValueError(f"unknown guard mode {guard!r}")
    nodes: Mapping[str, Any] = {node.name: node for node in graph.nodes}
    tensors: dict[str, Ints] = {}
    for node in graph.nodes:
        sources = [nodes[name] for name in node.inputs]
        given = [tensors[name] for name in node.inputs]
        zero_point, lo, hi = int(node.zero_point), int(node.lo), int(node.hi)
        if node.op == "input":
            y = _ints(codes)
        elif node.op in ("conv", "dense"):
            y, replaced = _layer(
                graph,
                node,
                given[0],
                int(sources[0].zero_point),
                guard if check_input else None,
                guard if check_output else None,
                fixed_bounds,
            )
            if counts is not None:
                counts[node.name] = replaced
        elif node.op == "add":
            y = add(
                given[0],
                given[1],
                int(sources[0].zero_point),
                int(sources[1].zero_point),
                int(node.multiplier_a),
                int(node.multiplier_b),
                int(node.shift),
                zero_point,
                lo,
                hi,
                graph.rounding,
            )
        elif node.op == "avgpool":
            pooled = average_pool(
                given[0],
                node.kernel,
                node.stride,
                node.padding,
                int(node.multiplier),
                int(node.shift),
                int(sources[0].zero_point),
                zero_point,
                -(1 << 62),
                (1 << 62) - 1,
                graph.rounding,
            )
            if guard is not None and check_output and fixed_bounds:
                bounds = fixed_range(zero_point, int(graph.act_bits))
                pooled, replaced_out = _check(pooled, *bounds, guard, zero_point)
                if counts is not None:
                    counts[node.name] = GuardCounts(0, replaced_out)
            y = clamp(pooled, lo, hi)
        elif node.op == "maxpool":
            y = max_pool(given[0], node.kernel, node.stride, node.padding)
        elif node.op == "shortcut":
            y = shortcut(given[0], int(node.stride), int(node.shape[0]), zero_point)
        elif node.op == "concat":
            y = concat(given)
        else:
            raise ValueError(f"{node.name}: unknown op {node.op!r}")
        if y.shape != tuple(node.shape):
            raise ValueError(f"{node.name}: {y.shape}, though the graph says {node.shape}")
        tensors[node.name] = y
    return tensors


def _layer(
    graph: Any,
    node: Any,
    x: Ints,
    zero_point_in: int,
    input_mode: str | None,
    output_mode: str | None,
    fixed_bounds: bool = False,
) -> tuple[Ints, GuardCounts]:
    """A convolution or dense layer, with its guards."""
    zero_point = int(node.zero_point)
    replaced_in = replaced_out = 0
    if input_mode is not None:
        x, replaced_in = input_guard(
            x, int(node.input_lo), int(node.input_hi), input_mode, zero_point_in
        )
    if node.op == "dense":
        if np.shape(node.weight)[1:] != x.shape:
            raise ValueError(f"{node.name}: a dense kernel is the whole input map {x.shape}")
        acc = convolve(x, node.weight, node.bias, 1, 0, 1, 1, zero_point_in)
    else:
        acc = convolve(
            x,
            node.weight,
            node.bias,
            node.stride,
            node.padding,
            node.dilation,
            int(node.groups),
            zero_point_in,
            int(node.offset),
        )
    v = requantize(
        acc, node.multiplier, node.shift, zero_point, graph.rounding, int(graph.multiplier_bits)
    )
    if output_mode is not None and fixed_bounds:
        bounds = fixed_range(zero_point, int(graph.act_bits))
        v, replaced_out = _check(v, *bounds, output_mode, zero_point)
    elif output_mode is not None:
        v, replaced_out = output_guard(
            v, node.guard_lo, node.guard_hi, output_mode, zero_point, int(graph.act_bits)
        )
    y = clamp(v, int(node.lo), int(node.hi))
    return y, GuardCounts(replaced_in, replaced_out)
