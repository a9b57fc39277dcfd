"""Says what both poolings have in common: a square window that slides over each channel."""

from dataclasses import dataclass

from .checks import check_inside, windows
from .layer import LayerSpec, Shape
from .node import FanIn, Graph, Node


@dataclass(kw_only=True)
class PoolNode(Node):
    """Makes one code of a window of ``kernel`` by ``kernel`` codes of one channel."""

    kernel: int
    stride: int
    padding: int = 0

    @classmethod
    def output_shape(cls, layer: "LayerSpec | PoolNode", inputs: list[Shape]) -> Shape:
        c, *sides = inputs[0]
        h, w = (windows(size, layer.kernel, layer.stride, layer.padding) for size in sides)
        return c, h, w

    @property
    def fan_in(self) -> FanIn:
        return 1, self.kernel, self.kernel

    def check(self, graph: Graph, sources: list[Node]) -> None:
        where = f"of layer {self.name!r}"
        check_inside(f"kernel {where}", self.kernel, 1, 1 << 8)
        check_inside(f"stride {where}", self.stride, 1, 1 << 8)
        check_inside(f"padding {where}", self.padding, 0, self.kernel // 2)
        self.check_shape(self.output_shape(self, [sources[0].shape]))
