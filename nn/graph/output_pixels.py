"""Computes single output pixels of a layer from the windows of codes below them, exactly.

    layer = OutputPixels(golden, node, codes)          # codes: the golden run's at its input
    outputs, bad = layer.codes(windows)

Requantization is in float64, where all of its values are whole numbers over a power of two; a
layer for which that is too narrow is not ``exact``.
"""

import numpy as np
from numpy.typing import NDArray

from holdfast.nn.operators.avgpool import AvgPoolNode
from holdfast.nn.operators.conv import ConvNode, accumulator_bound
from holdfast.nn.operators.maxpool import MaxPoolNode

from .golden import Golden
from .products import Products
from .windows import Windows

Codes = NDArray[np.int8]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BITS = 52
"""Of a value with its fraction, to which a half is added."""


class OutputPixels:
    """Computes output pixels of a convolution, dense layer or pooling.

    Parameters
    ----------
    codes : int8 [C, H, W]
        Golden codes at its input.

    Attributes
    ----------
    exact : bool
        Whether float64 holds all values.
    windows : Windows
    guarded : bool
        Whether an output guard counts violations.
    """

    def __init__(self, golden: Golden, node: ConvNode | AvgPoolNode | MaxPoolNode, codes: Codes):
        self._golden, self._node = golden, node
        graph = golden.graph
        zero = fill = graph[node.inputs[0]].zero_point
        height, width = node.shape[1:]
        kernel: tuple[int, int]
        multiplier, shift, bound = 1, 0, 0
        if isinstance(node, ConvNode):
            kernel = node.weight.shape[2], node.weight.shape[3]
            bound = int(accumulator_bound(node, graph.act_bits).max())
            multiplier, shift = int(node.multiplier.max()), int(node.shift.max())
            self._products = Products(_matrix(node, len(codes)), bound)
            self._offset = node.bias.astype(np.float64)
        else:
            kernel = node.kernel, node.kernel
            if isinstance(node, MaxPoolNode):
                # Padding never wins.
                fill = -128
            else:
                size = node.kernel * node.kernel
                bound, multiplier, shift = size << graph.act_bits, node.multiplier, node.shift
                self._offset = np.array(-float(size * zero))
        if not isinstance(node, MaxPoolNode):
            self._factor = node.multiplier * np.exp2(-np.asarray(node.shift, np.float64))
        self.exact = max((bound * multiplier).bit_length(), shift) <= _BITS
        self._bounds = self._guard_bounds()
        self.guarded = self._bounds is not None
        pad = (node.padding, node.padding)
        image = np.pad(
            self.admit(codes).transpose(1, 2, 0), (pad, pad, (0, 0)), constant_values=fill
        )
        dilation, offset = (node.dilation, node.offset) if isinstance(node, ConvNode) else (1, 0)
        self.windows = Windows(
            np.ascontiguousarray(image), kernel, (height, width), node.stride, node.padding,
            dilation, offset,
        )  # fmt: skip

    def admit(self, codes: Codes) -> Codes:
        """Returns codes behind the input guard."""
        node, guard = self._node, self._golden.input_guard
        if guard is None or not isinstance(node, ConvNode):
            return codes
        inside = codes.clip(node.input_lo, node.input_hi)
        if guard == "zero":
            zero = self._golden.graph[node.inputs[0]].zero_point
            inside = np.where(inside == codes, codes, zero)
        return inside.astype(np.int8)

    def codes(self, windows: Codes) -> tuple[Codes, Ints]:
        """Computes output pixels.

        Parameters
        ----------
        windows : int8 [n, kernel * C]
            Behind the input guard.

        Returns
        -------
        int8 [n, C]
        int64 [n]
            Codes of each that the output guard replaced.
        """
        node = self._node
        if isinstance(node, MaxPoolNode):
            codes = windows.reshape(len(windows), -1, node.shape[0]).max(1)
            return codes, np.zeros(len(codes), np.int64)
        if isinstance(node, ConvNode):
            v = self._products(windows).astype(np.float64)
        else:
            channels = windows.reshape(len(windows), -1, node.shape[0])
            v = channels.sum(1, dtype=np.int32).astype(np.float64)
        v += self._offset
        v *= self._factor
        rounded(v, self._golden.graph.rounding)
        v += node.zero_point
        bad = self._guard(v) if self.guarded else np.zeros(len(v), np.int64)
        return clamped(v, node.lo, node.hi), bad

    def _guard_bounds(self) -> tuple[Floats, Floats] | None:
        node, golden = self._node, self._golden
        if golden.output_guard is None or isinstance(node, MaxPoolNode):
            return None
        if golden.fixed_bound is not None:
            centre, reach = float(node.zero_point), golden.fixed_bound
            return np.array(centre - reach), np.array(centre + reach - 1)
        if not isinstance(node, ConvNode):
            return None
        return node.guard_lo.astype(np.float64), node.guard_hi.astype(np.float64)

    def _guard(self, v: Floats) -> Ints:
        """Replaces values outside the bounds; returns how many in each pixel."""
        assert self._bounds is not None
        widest = 1 << self._golden.graph.act_bits + 7
        np.clip(v, -widest, widest - 1, out=v)
        inside = np.clip(v, *self._bounds)
        bad = inside != v
        v[...] = np.where(bad, self._node.zero_point, v) if self._zeroes else inside
        return bad.sum(1)

    @property
    def _zeroes(self) -> bool:
        return self._golden.output_guard == "zero"


def rounded(v: Floats, rounding: str) -> None:
    """Rounds values to whole numbers, as rs of the contract does, in place."""
    if rounding == "half_even":
        np.rint(v, out=v)
        return
    if rounding == "half_up":
        v += 0.5
    np.floor(v, out=v)


def clamped(v: Floats, low: int, high: int) -> Codes:
    """Values as codes within bounds."""
    np.maximum(v, low, out=v)
    np.minimum(v, high, out=v)
    return v.astype(np.int8)


def _matrix(node: ConvNode, channels: int) -> Codes:
    """Weights by code of a window and output channel, int8 [kernel * C, C_out]; 0 where the code
    is of another group.
    """
    outputs, inputs, height, width = node.weight.shape
    whole = np.zeros((height, width, channels, outputs), np.int8)
    each = outputs // node.groups
    for group in range(node.groups):
        theirs = slice(group * each, (group + 1) * each)
        whole[:, :, group * inputs : (group + 1) * inputs, theirs] = node.weight[theirs].transpose(
            2, 3, 1, 0
        )
    return whole.reshape(-1, outputs)
