"""Concatenation along channels."""

from dataclasses import dataclass

from .layer import LayerSpec, Shape
from .node import Golden, GoldenOutputs, Graph, Node, Tensor


@dataclass(kw_only=True)
class ConcatNode(Node):
    """Puts the channels of all inputs one after the other."""

    op = "concat"
    arity = None
    passes_encoding = True
    stored = False

    @classmethod
    def output_shape(cls, layer: LayerSpec, inputs: list[Shape]) -> Shape:
        return sum(shape[0] for shape in inputs), *inputs[0][1:]

    @classmethod
    def real(cls, layer: LayerSpec, inputs: list[Tensor]) -> Tensor:
        import torch

        return torch.cat(inputs, 1)

    def check(self, graph: Graph, sources: list[Node]) -> None:
        self.check_shape((sum(s.shape[0] for s in sources), *sources[0].shape[1:]))

    def evaluate(self, golden: Golden, inputs: list[Tensor], result: GoldenOutputs) -> Tensor:
        import torch

        return torch.cat(inputs, 1)
