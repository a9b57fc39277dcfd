"""Convolution, with requantization by output channel and the range guard."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .checks import ACC_BITS_LIMIT, SIDE_LIMIT, ModelError, check_inside, windows
from .layer import LayerSpec, Shape
from .node import FanIn, Golden, GoldenOutputs, Graph, Integers, Lowering, Node, Tensor
from .scales import quantize_multiplier


@dataclass(kw_only=True)
class ConvNode(Node):
    """Convolves, requantizes, guards and clamps.

    Parameters
    ----------
    weight : int8 [C_out, C_in / groups, kh, kw]
    bias, multiplier, shift : int64 [C_out]
    guard_lo, guard_hi : int64 [C_out]
        Bounds of the output guard, before the clamp.
    input_lo, input_hi : int
        Bounds of the input guard, in input codes.
    offset : int
        Row and column of the padded input at which the window of output pixel (0, 0) begins.
    """

    op = kind = "conv"
    arrays = ("weight", "bias", "multiplier", "shift", "guard_lo", "guard_hi")
    weighted = True

    weight: NDArray[np.int8]
    bias: Integers
    multiplier: Integers
    shift: Integers
    guard_lo: Integers
    guard_hi: Integers
    input_lo: int
    input_hi: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    offset: int = 0

    @classmethod
    def output_shape(cls, layer: LayerSpec, inputs: list[Shape]) -> Shape:
        h, w = (
            windows(size, layer.kernel, layer.stride, layer.padding, layer.dilation, layer.offset)
            for size in inputs[0][1:]
        )
        return layer.channels, h, w

    @classmethod
    def layer_fan_in(cls, layer: LayerSpec, source: Shape) -> FanIn:
        return source[0] // layer.groups, layer.kernel, layer.kernel

    @classmethod
    def lowered(cls, given: Lowering) -> Node:
        name, weights, source = given.layer.name, given.weights[given.layer.name], given.sources[0]
        channels = len(weights.gain)
        for what, values in (("gain", weights.gain), ("offset", weights.offset)):
            if not np.isfinite(values).all():
                channel = int(np.flatnonzero(~np.isfinite(values))[0])
                raise ModelError(
                    f"{what} of layer {name!r} must be finite, not {values[channel]} in "
                    f"channel {channel}."
                )
        # the multiplier is unsigned, so a negative gain moves into the weights
        codes = np.where(weights.gain[:, None, None, None] < 0, -weights.codes, weights.codes)
        with np.errstate(over="ignore"):
            factors = np.abs(weights.gain) * source.scale / given.scale
        reach = np.abs(codes.astype(np.int64)).sum((1, 2, 3)) << given.act_bits
        bias, multiplier, shift = (np.zeros(channels, np.int64) for _ in range(3))
        bits = given.multiplier_bits
        for c in range(channels):
            if factors[c] == 0 or (bits > 0 and int(reach[c]) * float(factors[c]) < 0.5):
                # no input moves this channel by half a code: a constant
                codes[c] = 0
                factors[c] = 1
            multiplier[c], shift[c] = quantize_multiplier(float(factors[c]), bits)
            offset = float(weights.offset[c]) / given.scale / float(factors[c])
            if not abs(offset) < 1 << ACC_BITS_LIMIT:
                raise ModelError(
                    f"offset of layer {name!r} is {offset:.4g} accumulator steps in channel "
                    f"{c}, at most 2^{ACC_BITS_LIMIT} are possible: its weights are too small "
                    "beside it."
                )
            bias[c] = round(offset) - source.zero_point * int(codes[c].sum(dtype=np.int64))
        guard = 1 << given.act_bits + 7
        low, high = given.codes
        return given.node(
            cls,
            weight=codes.astype(np.int8),
            bias=bias,
            multiplier=multiplier,
            shift=shift,
            guard_lo=np.full(channels, -guard),
            guard_hi=np.full(channels, guard - 1),
            input_lo=low,
            input_hi=high,
        )

    @property
    def macs(self) -> int:
        return int(self.weight[0].size) * math.prod(self.shape)

    @property
    def fan_in(self) -> FanIn:
        _, channels, height, width = self.weight.shape
        return channels, height, width

    def check(self, graph: Graph, sources: list[Node]) -> None:
        self.check_geometry(sources[0])
        where, out = f"of layer {self.name!r}", self.shape[0]
        top = (1 << graph.weight_bits - 1) - 1
        multiplier = (1, 1) if graph.multiplier_bits == 0 else (0, (1 << graph.multiplier_bits) - 1)
        guard = 1 << graph.act_bits + 7
        for name, low, high in (
            ("weight", -top, top),
            ("multiplier", *multiplier),
            ("shift", 0, ACC_BITS_LIMIT + graph.multiplier_bits - 1),
            ("bias", -(1 << ACC_BITS_LIMIT - 1), (1 << ACC_BITS_LIMIT - 1) - 1),
            ("guard_lo", -guard, guard - 1),
            ("guard_hi", -guard, guard - 1),
        ):
            array = getattr(self, name)
            if name != "weight" and array.shape != (out,):
                raise ModelError(f"{name} {where} must have {out} entries, not {array.shape}.")
            check_inside(f"{name} {where}", int(array.min()), low, high)
            check_inside(f"{name} {where}", int(array.max()), low, high)
        if (self.guard_lo > self.guard_hi).any():
            raise ModelError(f"guard_lo {where} must not exceed guard_hi.")
        check_inside(f"input_lo {where}", self.input_lo, *graph.codes)
        check_inside(f"input_hi {where}", self.input_hi, self.input_lo, graph.codes[1])
        need = accumulator_bits(self, graph.act_bits)
        if need > ACC_BITS_LIMIT:
            raise ModelError(
                f"layer {self.name!r} needs an accumulator of {need} bits; "
                f"at most {ACC_BITS_LIMIT} are possible."
            )

    def check_geometry(self, source: Node) -> None:
        """Refuses windows, groups and shapes that do not fit the input; raises ModelError."""
        where = f"of layer {self.name!r}"
        c, *sides = source.shape
        out = self.shape[0]
        check_inside(f"stride {where}", self.stride, 1, 1 << 8)
        check_inside(f"padding {where}", self.padding, 0, 1 << 8)
        check_inside(f"dilation {where}", self.dilation, 1, 1 << 8)
        check_inside(f"groups {where}", self.groups, 1, c)
        check_inside(f"offset {where}", self.offset, 0, 1 << 8)
        if c % self.groups or out % self.groups:
            raise ModelError(
                f"groups {where} must divide its {c} input and {out} output channels, "
                f"not be {self.groups}."
            )
        if self.weight.ndim != 4 or self.weight.shape[:2] != (out, c // self.groups):
            raise ModelError(
                f"weight {where} must have shape ({out}, {c // self.groups}, kh, kw), "
                f"not {self.weight.shape}."
            )
        kernel = self.weight.shape[2:]
        check_inside(f"kernel height {where}", kernel[0], 1, SIDE_LIMIT)
        check_inside(f"kernel width {where}", kernel[1], 1, SIDE_LIMIT)
        self.check_covers(source)
        counts = (
            windows(size, k, self.stride, self.padding, self.dilation, self.offset)
            for size, k in zip(sides, kernel, strict=True)
        )
        self.check_shape((out, *counts))

    def check_covers(self, source: Node) -> None:
        """Refuses windows that this kind of layer must not have; raises ModelError."""

    def prepared(self, act_bits: int) -> tuple[Tensor, Tensor]:
        """Weights and biases in the narrowest float type in which every partial sum is exact."""
        import torch

        bound = int(accumulator_bound(self, act_bits).max())
        dtype = torch.float32 if bound <= 1 << 24 else torch.float64
        return torch.from_numpy(self.weight).to(dtype), torch.from_numpy(self.bias).to(dtype)

    def sums(self, x: Tensor, zero_point: int, weight: Tensor, bias: Tensor) -> Tensor:
        """Returns accumulator values, [N, C_out, H, W], whole numbers in the float type of
        ``weight``.

        PyTorch asks oneDNN for its direct algorithm, and computes float64 as a matrix product;
        only NNPACK would use Winograd's, whose intermediate values are not exact.
        """
        import torch
        import torch.nn.functional as F

        before = self.padding - self.offset
        sides = (before, self.padding, before, self.padding)
        padded = F.pad(x.to(weight.dtype), sides, value=zero_point)
        with torch.backends.nnpack.flags(enabled=False):
            return F.conv2d(padded, weight, bias, self.stride, 0, self.dilation, self.groups)

    def evaluate(self, golden: Golden, inputs: list[Tensor], result: GoldenOutputs) -> Tensor:
        x = golden.admitted(self, inputs[0], result)
        v = golden.before_guard(self, x)
        if golden.observe is not None:
            golden.observe(self, x, v)
        if golden.disturb is not None:
            v = golden.disturb(self, v)
        return golden.finished(self, v, result)


def accumulator_bits(node: ConvNode, act_bits: int) -> int:
    """Accumulator width, in bits, that no activation codes of act_bits can overflow."""
    return int(accumulator_bound(node, act_bits).max()).bit_length() + 1


def accumulator_bound(node: ConvNode, act_bits: int) -> Integers:
    """Returns the largest magnitude of the accumulator in each channel, int64 [C_out]."""
    magnitude = np.abs(node.weight.astype(np.int16)).sum((1, 2, 3), np.int64)
    bound: Integers = np.abs(node.bias) + (magnitude << (act_bits - 1))
    return bound
