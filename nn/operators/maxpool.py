"""Max pooling."""

from dataclasses import dataclass

from .layer import LayerSpec
from .node import Golden, GoldenOutputs, Tensor
from .pool import PoolNode


@dataclass(kw_only=True)
class MaxPoolNode(PoolNode):
    """Takes the largest code of a window."""

    op = kind = "maxpool"
    passes_encoding = True

    @classmethod
    def real(cls, layer: LayerSpec, inputs: list[Tensor]) -> Tensor:
        import torch.nn.functional as F

        return F.max_pool2d(inputs[0], layer.kernel, layer.stride, layer.padding)

    def evaluate(self, golden: Golden, inputs: list[Tensor], result: GoldenOutputs) -> Tensor:
        import torch.nn.functional as F

        return F.max_pool2d(inputs[0].float(), self.kernel, self.stride, self.padding).char()
