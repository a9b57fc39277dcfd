"""Max pooling."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .layer import LayerSpec
from .pool import PoolNode

if TYPE_CHECKING:
    from torch import Tensor

    from holdfast.nn.graph.golden import Golden, Result

__all__ = ["MaxPoolNode"]


@dataclass(kw_only=True)
class MaxPoolNode(PoolNode):
    """Largest code of a window."""

    op = kind = "maxpool"
    passes_encoding = True

    @classmethod
    def real(cls, layer: LayerSpec, inputs: list["Tensor"]) -> "Tensor":
        import torch.nn.functional as F

        return F.max_pool2d(inputs[0], layer.kernel, layer.stride, layer.padding)

    def evaluate(self, golden: "Golden", inputs: list["Tensor"], result: "Result") -> "Tensor":
        import torch.nn.functional as F

        return F.max_pool2d(inputs[0].float(), self.kernel, self.stride, self.padding).char()
