"""The float PyTorch module that a list of layers describes."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.nn.operators.registry import operator

from .spec import LayerSpec, Network, Shape, weighted


def activate(layer: LayerSpec, x: Tensor) -> Tensor:
    """Applies the layer's activation function, in place."""
    if layer.activation == "relu":
        return F.relu(x, inplace=True)
    return F.relu6(x, inplace=True) if layer.activation == "relu6" else x


def shifted(layer: LayerSpec, x: Tensor) -> Tensor:
    """Returns what a convolution of :func:`convolution_options` reads, with its padding."""
    if layer.offset == 0:
        return x
    before = layer.padding - layer.offset
    return F.pad(x, (before, layer.padding, before, layer.padding))


def affine(module: nn.Module) -> tuple[Tensor, Tensor]:
    """Returns gain and offset, float64 [C_out], of a layer's batch norm or bias, evaluated."""
    if hasattr(module, "bn"):
        bn = module.bn
        gain = bn.weight.double() / torch.sqrt(bn.running_var.double() + bn.eps)
        return gain, bn.bias.double() - bn.running_mean.double() * gain
    one = torch.ones(len(module.conv.weight), dtype=torch.float64)
    return one, torch.zeros_like(one) if module.conv.bias is None else module.conv.bias.double()


def convolution_options(layer: LayerSpec, source: Shape) -> dict[str, Any]:
    """Arguments of PyTorch's Conv2d for a convolution or dense layer on an input (C, H, W)."""
    return {
        "in_channels": source[0],
        "out_channels": layer.channels,
        "kernel_size": operator(layer).layer_fan_in(layer, source)[1:],
        "stride": layer.stride,
        # With an offset it is not the same on all sides; `shifted` does it.
        "padding": 0 if layer.offset else layer.padding,
        "dilation": layer.dilation,
        "groups": layer.groups,
        "bias": layer.norm == "bias",
    }


class FloatNetwork(nn.Module):
    """Computes a network in floats: pixels / 255, [N, C, H, W], to logits, [N, classes]."""

    def __init__(self, spec: Network) -> None:
        super().__init__()
        self.spec = spec
        self.layers = nn.ModuleDict()
        shapes = spec.shapes()
        for layer in weighted(spec):
            module = nn.Module()
            module.conv = nn.Conv2d(**convolution_options(layer, shapes[layer.inputs[0]]))
            if operator(layer).kind == "conv":
                nn.init.kaiming_normal_(module.conv.weight)
            if layer.norm == "batch":
                module.bn = nn.BatchNorm2d(layer.channels)
            self.layers[layer.name] = module

    def forward(self, pixels: Tensor) -> Tensor:
        return self.tensors(pixels)[self.spec.layers[-1].name].flatten(1)

    def tensors(self, pixels: Tensor) -> dict[str, Tensor]:
        """Returns every tensor of a forward pass, by layer."""
        values = {"image": pixels}
        for layer in self.spec.layers:
            inputs = [values[name] for name in layer.inputs]
            if layer.name in self.layers:
                module = self.layers[layer.name]
                x = module.conv(shifted(layer, inputs[0]))
                if layer.norm == "batch":
                    x = module.bn(x)
            else:
                x = operator(layer).real(layer, inputs)
            values[layer.name] = activate(layer, x)
        return values
