"""Residual addition."""

from dataclasses import dataclass
from fractions import Fraction

from .checks import ACC_BITS_LIMIT, check_inside
from .layer import LayerSpec
from .node import Golden, GoldenOutputs, Graph, Lowering, Node, Tensor
from .scales import quantize_multiplier


@dataclass(kw_only=True)
class AddNode(Node):
    """Adds two stored tensors."""

    op = "add"
    arity = 2
    equal_channels = True

    multiplier_a: int
    multiplier_b: int
    shift: int

    @classmethod
    def real(cls, layer: LayerSpec, inputs: list[Tensor]) -> Tensor:
        return inputs[0] + inputs[1]

    @classmethod
    def lowered(cls, given: Lowering) -> Node:
        """Lowers it: both multipliers share the shift at which the larger uses its full width."""
        a, b = (source.scale / given.scale for source in given.sources)
        multiplier, shift = quantize_multiplier(max(a, b), max(given.multiplier_bits, 8))
        if multiplier == 0:
            return given.node(cls, multiplier_a=0, multiplier_b=0, shift=0)
        one = Fraction(1 << shift)
        first, second = (round(Fraction(factor) * one) for factor in (a, b))
        return given.node(cls, multiplier_a=first, multiplier_b=second, shift=shift)

    def check(self, graph: Graph, sources: list[Node]) -> None:
        where, wide = f"of layer {self.name!r}", max(graph.multiplier_bits, 8)
        check_inside(f"multiplier_a {where}", self.multiplier_a, 0, (1 << wide) - 1)
        check_inside(f"multiplier_b {where}", self.multiplier_b, 0, (1 << wide) - 1)
        check_inside(f"shift {where}", self.shift, 0, ACC_BITS_LIMIT + wide - 1)
        self.check_shape(sources[1].shape)
        self.check_shape(sources[0].shape)

    def evaluate(self, golden: Golden, inputs: list[Tensor], result: GoldenOutputs) -> Tensor:
        a, b = (golden.graph[name].zero_point for name in self.inputs)
        v = inputs[0].long().sub_(a).mul_(self.multiplier_a)
        v += inputs[1].long().sub_(b).mul_(self.multiplier_b)
        y = golden.rounded(v, self.shift).add_(self.zero_point)
        return y.clamp_(self.lo, self.hi).char()
