"""Fully connected layers."""

from dataclasses import dataclass

from .checks import ModelError
from .conv import ConvNode
from .layer import LayerSpec, Shape
from .node import FanIn, Node


@dataclass(kw_only=True)
class DenseNode(ConvNode):
    """Connects all inputs with all outputs: a convolution whose kernel is the whole input map."""

    op = kind = "dense"

    @classmethod
    def output_shape(cls, layer: LayerSpec, inputs: list[Shape]) -> Shape:
        return layer.channels, 1, 1

    @classmethod
    def layer_fan_in(cls, layer: LayerSpec, source: Shape) -> FanIn:
        return source

    def check_covers(self, source: Node) -> None:
        _, h, w = source.shape
        kernel = self.weight.shape[2:]
        if (*kernel, self.stride, self.padding, self.offset, self.groups) != (h, w, 1, 0, 0, 1):
            raise ModelError(
                f"dense layer {self.name!r} must cover its whole {h}x{w} input with "
                f"stride 1, no padding and no offset."
            )
