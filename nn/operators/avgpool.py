"""Average pooling; over one pixel, a change of scale or an activation function alone."""

from dataclasses import dataclass

from .checks import ACC_BITS_LIMIT, check_inside
from .layer import LayerSpec
from .node import Golden, GoldenOutputs, Graph, Lowering, Node, Tensor
from .pool import PoolNode
from .scales import quantize_multiplier


@dataclass(kw_only=True)
class AvgPoolNode(PoolNode):
    """Averages over a window; 1 / count is part of the multiplier."""

    op = kind = "avgpool"

    multiplier: int
    shift: int

    @classmethod
    def averaged(cls, layer: LayerSpec) -> int:
        return layer.kernel**2

    @classmethod
    def real(cls, layer: LayerSpec, inputs: list[Tensor]) -> Tensor:
        import torch.nn.functional as F

        return F.avg_pool2d(inputs[0], layer.kernel, layer.stride, layer.padding)

    @classmethod
    def lowered(cls, given: Lowering) -> Node:
        factor = given.sources[0].scale / given.scale / cls.averaged(given.layer)
        multiplier, shift = quantize_multiplier(factor, given.multiplier_bits or 8)
        return given.node(cls, multiplier=multiplier, shift=shift)

    def check(self, graph: Graph, sources: list[Node]) -> None:
        super().check(graph, sources)
        where, wide = f"of layer {self.name!r}", graph.multiplier_bits or 8
        check_inside(f"multiplier {where}", self.multiplier, 0, (1 << wide) - 1)
        check_inside(f"shift {where}", self.shift, 0, ACC_BITS_LIMIT + wide - 1)

    def sums(self, x: Tensor, zero_point: int) -> Tensor:
        """Sums of codes without their zero point, whole numbers in float64 [N, C, H, W]."""
        import torch.nn.functional as F

        # at most 2^8 codes of 8 bits in each direction: exact in float64
        centred = x.double() - zero_point
        return F.avg_pool2d(centred, self.kernel, self.stride, self.padding, divisor_override=1)

    def evaluate(self, golden: Golden, inputs: list[Tensor], result: GoldenOutputs) -> Tensor:
        return golden.finished(self, golden.before_guard(self, inputs[0]), result)
