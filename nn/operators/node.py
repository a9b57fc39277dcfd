"""Says what all operations have in common: a node is one tensor and the operation that makes it.

A member of :data:`nn.operators.registry.OPERATORS` is a subclass of :class:`Node` in a file of its
own. Its class methods say what the operation is as a layer of real numbers, its methods what it is
on codes. A new operation is a subclass of the one that the hardware runs it as. PyTorch is imported
where a method computes, so that a graph is read without it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .checks import ModelError
from .layer import LayerSpec, Shape
from .scales import Encoding, Weights

if TYPE_CHECKING:
    from torch import Tensor

    from holdfast.nn.graph.golden import Golden, GoldenOutputs
    from holdfast.nn.graph.graph import Graph
else:
    Golden = GoldenOutputs = Graph = Tensor = Any

Integers = NDArray[np.int64]
FanIn = tuple[int, int, int]
"""Channels, height and width of the inputs behind one element of an output."""

_OPTIONS = ("kernel", "stride", "padding", "dilation", "groups", "offset")


@dataclass(kw_only=True)
class Node:
    """Describes one tensor and the operation that makes it.

    Parameters
    ----------
    shape : (int, int, int)
        C, H, W of the output.
    scale, zero_point : float, int
        Real value = scale * (code - zero_point).
    lo, hi : int
        Clamp of the output codes.

    Attributes
    ----------
    op : str
        Name of the operation.
    arrays : tuple of str
        Fields that are arrays.
    arity : int or None
        Number of inputs; None: one or more.
    kind : str
        ``conv``, ``dense``, ``avgpool`` or ``maxpool`` where the array computes it that way.
    weighted : bool
        Has weights and requantization by channel (`nn.operators.conv`).
    passes_encoding : bool
        Scale and zero point are those of the inputs.
    stored : bool
        The output is computed and then stored; otherwise it is a copy.
    equal_channels : bool
        All inputs must have as many channels.
    """

    op: ClassVar[str] = ""
    arrays: ClassVar[tuple[str, ...]] = ()
    arity: ClassVar[int | None] = 1
    kind: ClassVar[str] = ""
    weighted: ClassVar[bool] = False
    passes_encoding: ClassVar[bool] = False
    stored: ClassVar[bool] = True
    equal_channels: ClassVar[bool] = False

    name: str
    inputs: tuple[str, ...] = ()
    shape: tuple[int, int, int]
    scale: float
    zero_point: int
    lo: int
    hi: int

    # The layer, in real numbers.

    @classmethod
    def output_shape(cls, layer: LayerSpec, inputs: list[Shape]) -> Shape:
        """Returns the shape (C, H, W) of the output for input shapes (C, H, W)."""
        return inputs[0]

    @classmethod
    def layer_fan_in(cls, layer: LayerSpec, source: Shape) -> FanIn:
        """Returns what one output element of a layer reads of an input (C, H, W)."""
        return 1, layer.kernel, layer.kernel

    @classmethod
    def averaged(cls, layer: LayerSpec) -> int:
        """Counts the inputs whose average an output is; 0: it is none."""
        return 0

    @classmethod
    def real(cls, layer: LayerSpec, inputs: list[Tensor]) -> Tensor:
        """Computes a layer without weights, before its activation, [N, C, H, W] from the same."""
        raise NotImplementedError(cls.op)

    @classmethod
    def lowered(cls, given: "Lowering") -> "Node":
        """Makes the node of a layer.

        Raises
        ------
        ModelError
            The layer cannot be expressed in the contract.
        """
        return given.node(cls)

    # The node, in codes.

    @property
    def macs(self) -> int:
        """Counts multiply-accumulates of an inference; convolutions and dense layers have some."""
        return 0

    @property
    def fan_in(self) -> FanIn:
        """Returns what one output element reads, of a node that the array computes."""
        raise NotImplementedError(self.op)

    def check(self, graph: Graph, sources: list["Node"]) -> None:
        """Refuses fields of this operation that break the contract; raises ModelError."""

    def check_shape(self, expected: tuple[int, ...]) -> None:
        """Refuses any other shape; raises ModelError."""
        if self.shape != expected:
            raise ModelError(f"layer {self.name!r} must have shape {expected}, not {self.shape}.")

    def evaluate(self, golden: Golden, inputs: list[Tensor], result: GoldenOutputs) -> Tensor:
        """Computes the output codes, int8 [N, C, H, W]; violations go into ``result``."""
        raise NotImplementedError(self.op)


@dataclass(frozen=True)
class Lowering:
    """Holds a layer, and what it needs to become a node; a scale that is none raises ModelError."""

    layer: LayerSpec
    shape: Shape
    sources: list[Node]
    encoding: Encoding
    weights: Mapping[str, Weights]
    act_bits: int
    multiplier_bits: int

    def __post_init__(self) -> None:
        if not 0 < self.scale < math.inf:
            raise ModelError(
                f"scale of layer {self.layer.name!r} must be finite and above 0, not {self.scale}."
            )

    @property
    def scale(self) -> float:
        """Returns the scale of the output."""
        return self.encoding.scale

    @property
    def codes(self) -> tuple[int, int]:
        """Returns the lowest and highest activation code."""
        return -(1 << self.act_bits - 1), (1 << self.act_bits - 1) - 1

    def node(self, kind: type[Node], **more: Any) -> Node:
        """Makes a node of a kind: what the layer says, and ``more``, which is the kind's own."""
        layer, scale, zero_point = self.layer, self.scale, self.encoding.zero_point
        low, high = self.codes
        if layer.activation != "none":
            low = max(low, zero_point)
        if layer.activation == "relu6":
            high = min(high, zero_point + round(min(6 / scale, 1 << 8)))
        names = {field.name for field in fields(kind)}
        options = {name: getattr(layer, name) for name in _OPTIONS if name in names}
        return kind(
            name=layer.name,
            inputs=layer.inputs,
            shape=self.shape,
            scale=scale,
            zero_point=zero_point,
            lo=low,
            hi=high,
            **options | more,
        )
