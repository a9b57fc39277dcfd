"""The nodes of an integer graph: tensors and the operations that make them.

The arithmetic of every operation is in docs/architecture.md, "The integer contract".
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from holdfast.base.errors import HoldfastError

__all__ = [
    "ACC_BITS_LIMIT",
    "NODES",
    "AddNode",
    "AvgPoolNode",
    "ConcatNode",
    "ConvNode",
    "DenseNode",
    "InputNode",
    "Integers",
    "MaxPoolNode",
    "ModelError",
    "Node",
    "ShortcutNode",
    "accumulator_bits",
    "accumulator_bound",
]

ACC_BITS_LIMIT = 32

Integers = NDArray[np.int64]


class ModelError(HoldfastError):
    """An integer graph or its file breaks the contract."""


@dataclass(kw_only=True)
class Node:
    """One tensor and the operation that makes it.

    Parameters
    ----------
    shape : (int, int, int)
        C, H, W of the output.
    scale, zero_point : float, int
        Real value = scale * (code - zero_point).
    lo, hi : int
        Clamp of the output codes.
    """

    op: ClassVar[str] = ""
    arrays: ClassVar[tuple[str, ...]] = ()

    name: str
    inputs: tuple[str, ...] = ()
    shape: tuple[int, int, int]
    scale: float
    zero_point: int
    lo: int
    hi: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference; only convolutions and dense layers have any."""
        return 0


@dataclass(kw_only=True)
class InputNode(Node):
    """The image."""

    op = "input"


@dataclass(kw_only=True)
class ConvNode(Node):
    """Convolution, requantization, range guard and clamp.

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

    op = "conv"
    arrays = ("weight", "bias", "multiplier", "shift", "guard_lo", "guard_hi")

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

    @property
    def macs(self) -> int:
        return int(self.weight[0].size) * math.prod(self.shape)


@dataclass(kw_only=True)
class DenseNode(ConvNode):
    """Fully connected: a convolution whose kernel is the whole input map."""

    op = "dense"


@dataclass(kw_only=True)
class AddNode(Node):
    """Residual addition of two stored tensors."""

    op = "add"

    multiplier_a: int
    multiplier_b: int
    shift: int


@dataclass(kw_only=True)
class AvgPoolNode(Node):
    """Average over a window; 1 / count is part of the multiplier."""

    op = "avgpool"

    kernel: int
    stride: int
    padding: int = 0
    multiplier: int
    shift: int


@dataclass(kw_only=True)
class MaxPoolNode(Node):
    """Largest code of a window."""

    op = "maxpool"

    kernel: int
    stride: int
    padding: int = 0


@dataclass(kw_only=True)
class ShortcutNode(Node):
    """ResNet option A: every stride-th pixel; new channels at the end hold the zero point."""

    op = "shortcut"

    stride: int


@dataclass(kw_only=True)
class ConcatNode(Node):
    """The channels of all inputs, one after the other."""

    op = "concat"


NODES: dict[str, type[Node]] = {
    node.op: node
    for node in (
        InputNode,
        ConvNode,
        DenseNode,
        AddNode,
        AvgPoolNode,
        MaxPoolNode,
        ShortcutNode,
        ConcatNode,
    )
}


def accumulator_bits(node: ConvNode, act_bits: int) -> int:
    """Accumulator width, in bits, that no activation codes of act_bits can overflow."""
    return int(accumulator_bound(node, act_bits).max()).bit_length() + 1


def accumulator_bound(node: ConvNode, act_bits: int) -> Integers:
    """Largest magnitude of the accumulator in each channel, int64 [C_out]."""
    magnitude = np.abs(node.weight.astype(np.int16)).sum((1, 2, 3), np.int64)
    bound: Integers = np.abs(node.bias) + (magnitude << (act_bits - 1))
    return bound
