"""The shortcut of a residual block that has no weights."""

from dataclasses import dataclass

from .checks import ModelError, check_inside
from .layer import LayerSpec, Shape
from .node import Golden, GoldenOutputs, Graph, Node, Tensor


@dataclass(kw_only=True)
class ShortcutNode(Node):
    """Copies every stride-th pixel (ResNet option A); new channels are the zero point."""

    op = "shortcut"
    passes_encoding = True
    stored = False

    stride: int

    @classmethod
    def output_shape(cls, layer: LayerSpec, inputs: list[Shape]) -> Shape:
        _, h, w = inputs[0]
        return layer.channels, -(-h // layer.stride), -(-w // layer.stride)

    @classmethod
    def real(cls, layer: LayerSpec, inputs: list[Tensor]) -> Tensor:
        return _subsampled(inputs[0], layer.stride, layer.channels, 0)

    def check(self, graph: Graph, sources: list[Node]) -> None:
        check_inside(f"stride of layer {self.name!r}", self.stride, 1, 1 << 8)
        c, h, w = sources[0].shape
        if self.shape[0] < c:
            raise ModelError(
                f"shortcut {self.name!r} must not lose channels: {c} before, {self.shape[0]} after."
            )
        self.check_shape((self.shape[0], -(-h // self.stride), -(-w // self.stride)))

    def evaluate(self, golden: Golden, inputs: list[Tensor], result: GoldenOutputs) -> Tensor:
        return _subsampled(inputs[0], self.stride, self.shape[0], self.zero_point)


def _subsampled(x: Tensor, stride: int, channels: int, fill: int) -> Tensor:
    import torch.nn.functional as F

    more = channels - x.shape[1]
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, more), value=fill)
