"""The network with fake-quantized weights and activations, for training (Brevitas)."""

from collections.abc import Mapping

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.quant import (
    Int8ActPerTensorFloatMinMaxInit,
    Int8WeightPerChannelFloat,
    Uint8ActPerTensorFloatMaxInit,
)
from torch import Tensor, nn

from nn.graph import Graph
from nn.lower import Encoding, Weights, image_encoding, integer_graph
from nn.networks import (
    Network,
    activate,
    affine,
    inner_padding,
    kernel_shape,
    shifted,
    tensor_groups,
    weighted,
    window,
)

__all__ = ["QuantizedNetwork"]


class QuantizedNetwork(nn.Module):
    """The network as it will be after quantization, in floating point.

    Weights are quantized per output channel, symmetrically; activations per tensor, with a learnt
    scale: unsigned where they are never negative, else signed. The image is quantized as the
    contract says. State is named as in FloatNetwork, so that its weights can be loaded.

    Parameters
    ----------
    clips : dict
        Largest real value of each group of tensors to start from (see nn/calibrate.py).
    """

    def __init__(
        self, spec: Network, clips: Mapping[str, float], act_bits: int, weight_bits: int
    ) -> None:
        super().__init__()
        self.spec, self.act_bits, self.weight_bits = spec, act_bits, weight_bits
        self.groups = tensor_groups(spec)
        self.layers = nn.ModuleDict()
        self.quantizers = nn.ModuleDict()
        shapes = spec.shapes()
        for layer in weighted(spec):
            out, into, kh, kw = kernel_shape(layer, shapes[layer.inputs[0]])
            module = nn.Module()
            module.conv = qnn.QuantConv2d(
                into * layer.groups,
                out,
                (kh, kw),
                layer.stride,
                inner_padding(layer),
                layer.dilation,
                layer.groups,
                bias=layer.norm == "bias",
                weight_quant=Int8WeightPerChannelFloat,
                weight_bit_width=weight_bits,
            )
            if layer.norm == "batch":
                module.bn = nn.BatchNorm2d(out)
            self.layers[layer.name] = module
        for group in {group.key: group for group in self.groups.values()}.values():
            clip = clips[group.key]
            if group.key == "image":
                continue
            if group.non_negative:
                quantizer = qnn.QuantIdentity(
                    Uint8ActPerTensorFloatMaxInit, max_val=clip, bit_width=act_bits
                )
            else:
                quantizer = qnn.QuantIdentity(
                    Int8ActPerTensorFloatMinMaxInit, min_val=-clip, max_val=clip, bit_width=act_bits
                )
            self.quantizers[group.key] = quantizer

    def forward(self, pixels: Tensor) -> Tensor:
        return self.tensors(pixels)[self.spec.layers[-1].name].flatten(1)

    def tensors(self, pixels: Tensor) -> dict[str, Tensor]:
        """Every tensor of a forward pass, by layer, ``image`` included."""
        levels = (1 << self.act_bits) - 1
        # the contract's rounding of pixels, on whole numbers that float32 holds exactly
        pixels = torch.floor(((pixels * 255).round() * levels + 127) / 255) / levels
        values = {"image": pixels}
        for layer in self.spec.layers:
            inputs = [values[name] for name in layer.inputs]
            if layer.name in self.layers:
                module = self.layers[layer.name]
                x = module.conv(shifted(layer, inputs[0])).float()
                if layer.norm == "batch":
                    x = module.bn(x)
            else:
                x = window(layer, inputs)
            x = activate(layer, x)
            if layer.op in ("conv", "dense", "add", "avgpool"):
                x = self.quantizers[self.groups[layer.name].key](x)
            values[layer.name] = x
        return values

    def scale_parameters(self) -> list[nn.Parameter]:
        """The learnt scales of the activations."""
        return list(self.quantizers.parameters())

    @torch.no_grad()
    def integer_graph(self, multiplier_bits: int = 16, rounding: str = "half_up") -> Graph:
        """The network in integers, batch norm folded; its guard bounds are open."""
        self.eval()
        weights = {
            layer.name: self._weights(self.layers[layer.name]) for layer in weighted(self.spec)
        }
        scales = {
            key: float(quantizer.act_quant.scale()) for key, quantizer in self.quantizers.items()
        }
        encodings = {
            name: image_encoding(self.act_bits)
            if group.key == "image"
            else Encoding(scales[group.key], -(1 << self.act_bits - 1) if group.non_negative else 0)
            for name, group in self.groups.items()
        }
        return integer_graph(
            self.spec,
            weights,
            encodings,
            act_bits=self.act_bits,
            weight_bits=self.weight_bits,
            multiplier_bits=multiplier_bits,
            rounding=rounding,
        )

    @staticmethod
    def _weights(module: nn.Module) -> Weights:
        quantized = module.conv.quant_weight()
        codes = quantized.int(float_datatype=False).numpy().astype(np.int8)
        scale = quantized.scale.double().flatten().expand(len(codes))
        gain, offset = affine(module)
        return Weights(codes, (scale * gain).numpy(), offset.numpy())
