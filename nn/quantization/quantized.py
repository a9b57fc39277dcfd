"""The network with fake-quantized weights and activations, for training (Brevitas)."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import brevitas.nn as qnn
import numpy as np
import torch
import torch.nn.functional as F
from brevitas.quant import (
    Int8ActPerTensorFloatMinMaxInit,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
    Uint8ActPerTensorFloatMaxInit,
)
from torch import Tensor, nn

from holdfast.nn.errors.base import ErrorModel
from holdfast.nn.graph.graph import Graph, ModelError
from holdfast.nn.networks.float import FloatNetwork, activate, affine, convolution_options, shifted
from holdfast.nn.networks.spec import LayerSpec, Network, TensorGroup, tensor_groups, weighted
from holdfast.nn.operators.registry import operator
from holdfast.nn.operators.scales import Encoding, Weights, image_encoding

from .clipping import power_of_two_clips
from .fake_quantize import FakeQuantize
from .lower import integer_graph

SCALES = ("multiplier", "power-of-two")
GRANULARITIES = ("channel", "tensor")

# A channel of weights so small that more would be needed is next to constant: what is rounded off
# moves its output by hundredths of a code. Its bias, a code times two to this, shall not be what
# decides the width of the accumulators.
_MOST_SHIFT = 15


class QuantizedNetwork(nn.Module):
    """The network as it will be after quantization, in floating point.

    Weights are quantized per output channel, symmetrically; activations per tensor, with a learnt
    scale: unsigned where they are never negative, else signed. The image is quantized as the
    contract says. State is named as in FloatNetwork, so that its weights can be loaded.

    Parameters
    ----------
    clips : dict
        Largest real value of each group of tensors to start from (see nn/quantization/clipping.py).
    per_tensor : bool
        All output channels of a layer have the same weight scale.
    power_of_two : bool
        Every requantization is a shift. The clips make all scales of activations powers of two
        (`clipping.power_of_two_clips`), and they stay as they are. Weights are quantized with
        the batch norm folded in, whose statistics stay as they are, by the power of two of the
        output's step at or above what the largest weight needs, of the channel or of the layer.
    """

    def __init__(
        self,
        spec: Network,
        clips: Mapping[str, float],
        act_bits: int,
        weight_bits: int,
        *,
        per_tensor: bool = False,
        power_of_two: bool = False,
    ) -> None:
        super().__init__()
        self.spec, self.act_bits, self.weight_bits = spec, act_bits, weight_bits
        self.per_tensor, self.power_of_two = per_tensor, power_of_two
        self.groups = tensor_groups(spec)
        self.layers = nn.ModuleDict()
        self.quantizers = nn.ModuleDict()
        shapes = spec.shapes()
        for layer in weighted(spec):
            module = nn.Module()
            module.conv = qnn.QuantConv2d(
                **convolution_options(layer, shapes[layer.inputs[0]]),
                weight_quant=Int8WeightPerTensorFloat if per_tensor else Int8WeightPerChannelFloat,
                weight_bit_width=weight_bits,
            )
            if layer.norm == "batch":
                module.bn = nn.BatchNorm2d(layer.channels)
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

        self.bounds = nn.ParameterDict()
        self._extremes: dict[str, Tensor] | None = None
        self._kept_weights: dict[str, tuple[Tensor, Tensor, Tensor | None]] | None = None
        self._kept_scales: dict[str, Tensor] | None = None

    @contextmanager
    def frozen_weights(self) -> Iterator[None]:
        """Within, weights are quantized once for all passes; no parameter must change meanwhile."""
        self._kept_weights, self._kept_scales = {}, {}
        try:
            yield
        finally:
            self._kept_weights = self._kept_scales = None

    @torch.no_grad()
    def learn_output_bounds(self, pixels: Tensor) -> None:
        """Clips every channel of every convolution and dense layer between bounds that are learnt.

        They clip where the output guard does, after faults and before the activation function, and
        begin at the extremes that ``pixels``, [N, C, H, W], reach. A value beyond a bound has its
        gradient move the bound; weight decay pulls bounds to zero.
        """
        self.bounds.clear()
        self._extremes = {}
        self.eval()
        for part in pixels.split(100):
            self(part)
        self.bounds.update({name: nn.Parameter(found) for name, found in self._extremes.items()})
        self._extremes = None

    def _widen(self, name: str, x: Tensor) -> None:
        assert self._extremes is not None
        low, high = x.amin((0, 2, 3)), x.amax((0, 2, 3))
        if name in self._extremes:
            low = torch.minimum(low, self._extremes[name][0])
            high = torch.maximum(high, self._extremes[name][1])
        self._extremes[name] = torch.stack([low, high])

    def forward(self, pixels: Tensor, faults: ErrorModel | None = None) -> Tensor:
        return self.tensors(pixels, faults)[self.spec.layers[-1].name].flatten(1)

    def tensors(self, pixels: Tensor, faults: ErrorModel | None = None) -> dict[str, Tensor]:
        """Returns every tensor of a forward pass, by layer, ``image`` included."""
        if faults is not None:
            faults.bind(self.spec)
            faults.start(self.stored_sizes(), len(pixels), self.act_bits, pixels.device)
        levels = (1 << self.act_bits) - 1
        # the contract's rounding of pixels, on whole numbers that float32 holds exactly
        pixels = torch.floor(((pixels * 255).round() * levels + 127) / 255) / levels
        values = {"image": pixels}
        for layer in self.spec.layers:
            known = operator(layer)
            inputs = [values[name] for name in layer.inputs]
            if layer.name in self.layers:
                x = self._sums(layer, inputs[0], faults if known.kind == "conv" else None)
                macs = self.layers[layer.name].conv.weight[0].numel()
            else:
                x = known.real(layer, inputs)
                macs = known.averaged(layer)
            if faults is not None and macs:
                if known.kind == "conv" or faults.covers_dense_and_pooling:
                    unit = partial(self._unit, layer)
                    x = faults.sums(x, macs, self.act_bits, layer.name, unit)
            if self._extremes is not None and known.weighted:
                self._widen(layer.name, x)
            if layer.name in self.bounds:
                low, high = self.bounds[layer.name][:, :, None, None]
                x = torch.clamp(x, low, high)
            x = activate(layer, x)
            if known.stored:
                group = self.groups[layer.name]
                scale = self._step(group)
                zero_point = self._zero_point(group)
                if not known.passes_encoding:
                    lowest = -(1 << self.act_bits - 1) - zero_point
                    x = FakeQuantize.apply(x, scale, lowest, lowest + levels, self.power_of_two)
                if faults is not None and layer is not self.spec.layers[-1]:
                    x = faults.stored(layer.name, x, scale, zero_point, self.act_bits)
            values[layer.name] = x
        return values

    def stored_sizes(self) -> dict[str, int]:
        """Returns stored activations of one image by layer, without image and logits."""
        shapes = self.spec.shapes()
        return {
            layer.name: math.prod(shapes[layer.name])
            for layer in self.spec.layers[:-1]
            if operator(layer).stored
        }

    def _sums(self, layer: LayerSpec, x: Tensor, faults: ErrorModel | None) -> Tensor:
        """Outputs of a convolution or dense layer behind its batch norm."""
        module = self.layers[layer.name]
        x = shifted(layer, x)
        if faults is None and not self.power_of_two and self._kept_weights is None:
            x = module.conv(x).float()
        else:
            x = self._convolution(layer, x, faults)
        return module.bn(x) if layer.norm == "batch" and not self.power_of_two else x

    def _convolution(self, layer: LayerSpec, x: Tensor, faults: ErrorModel | None) -> Tensor:
        module = self.layers[layer.name]
        conv = module.conv
        weight, scale, bias = self._held_weights(layer)
        correction = None
        if faults is not None:
            with torch.no_grad():
                turned = scale
                if hasattr(module, "bn") and not self.power_of_two:
                    # Lowering turns the weights of a negative gamma around.
                    negative = module.bn.weight[:, None, None, None] < 0
                    turned = torch.where(negative, -scale, scale)
                codes = (weight / turned).round()
                faulty = faults.weights(codes, self.weight_bits)
                replaced = faulty * turned
                correction = faults.zero_point_correction(codes, self.weight_bits)
            weight = torch.where(faulty != codes, replaced, weight)
        y = F.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups).float()
        if correction is None:
            return y
        with torch.no_grad():
            source = self.groups[layer.inputs[0]]
            constant = correction * self._zero_point(source) * self._step(source) * turned.flatten()
        return y + constant[:, None, None]

    def _held_weights(self, layer: LayerSpec) -> tuple[Tensor, Tensor, Tensor | None]:
        """Quantized weights, their scale [C_out or 1, 1, 1, 1], and what is added to the sums."""
        if self._kept_weights is None:
            return self._quantized_weights(layer)
        if layer.name not in self._kept_weights:
            self._kept_weights[layer.name] = self._quantized_weights(layer)
        return self._kept_weights[layer.name]

    def _quantized_weights(self, layer: LayerSpec) -> tuple[Tensor, Tensor, Tensor | None]:
        module = self.layers[layer.name]
        if not self.power_of_two:
            weight = module.conv.quant_weight()
            return weight.value, weight.scale, module.conv.bias
        real, offset = self._folded(module)
        codes, scale = self._shifted_codes(real.detach(), self._ratio(layer))
        # Rounding and clipping let gradients pass.
        weight = real + (codes * scale - real).detach()
        return weight.float(), scale.float(), offset.float()

    def _step(self, group: TensorGroup) -> Tensor | float:
        """The scale of a group of tensors."""
        if group.key == "image":
            return 1 / ((1 << self.act_bits) - 1)
        if self._kept_scales is None:
            return self._scale(group.key)
        if group.key not in self._kept_scales:
            self._kept_scales[group.key] = self._scale(group.key)
        return self._kept_scales[group.key]

    def _scale(self, key: str) -> Tensor:
        # What it sets up to be in evaluation takes longer than the scale, which is the same then.
        scale: Tensor = self.quantizers[key].act_quant.scale(force_eval=False)
        return scale.detach() if self.power_of_two else scale

    def _ratio(self, layer: LayerSpec) -> float:
        """Step of a layer's output over that of its input."""
        output, source = (self.groups[name] for name in (layer.name, layer.inputs[0]))
        return float(self._step(output)) / float(self._step(source))

    def _unit(self, layer: LayerSpec) -> Tensor:
        """Returns what 1 in the integer sums of a layer is worth behind its batch norm, [C_out]."""
        step = self._step(self.groups[layer.inputs[0]])
        if count := operator(layer).averaged(layer):
            each = torch.as_tensor(step / count)
            return each.expand(self.spec.shapes()[layer.name][0])
        scale = self._held_weights(layer)[1].flatten()
        if not self.power_of_two:
            # Channels that the batch norm turns round have their weights turned round instead.
            scale = scale * affine(self.layers[layer.name])[0].abs()
        return (scale * step).float()

    def _zero_point(self, group: TensorGroup) -> int:
        return -(1 << self.act_bits - 1) if group.non_negative else 0

    def scale_parameters(self) -> list[nn.Parameter]:
        """Returns the learnt scales of the activations."""
        return [] if self.power_of_two else list(self.quantizers.parameters())

    @torch.no_grad()
    def integer_graph(self) -> Graph:
        """Returns the network in integers, batch norm folded; guard bounds that are not learnt are
        open.

        Raises
        ------
        ModelError
            A parameter is not finite, or the network cannot be expressed in the contract.
        """
        self.eval()
        for name, value in self.state_dict().items():
            if value.is_floating_point() and not value.isfinite().all():
                raise ModelError(f"{name} of network {self.spec.name} is not finite.")
        encodings = {
            name: image_encoding(self.act_bits)
            if group.key == "image"
            else Encoding(float(self._step(group)), self._zero_point(group))
            for name, group in self.groups.items()
        }
        weights = {}
        for layer in weighted(self.spec):
            module = self.layers[layer.name]
            if self.power_of_two:
                real, offset = self._folded(module)
                codes, scale = self._shifted_codes(real, self._ratio(layer))
                weights[layer.name] = Weights(
                    codes.numpy().astype(np.int8), scale.flatten().numpy(), offset.numpy()
                )
            else:
                weights[layer.name] = self._weights(module)
        graph = integer_graph(
            self.spec,
            weights,
            encodings,
            act_bits=self.act_bits,
            weight_bits=self.weight_bits,
            multiplier_bits=0 if self.power_of_two else 16,
        )
        self.write_bounds(graph)
        return graph

    @torch.no_grad()
    def write_bounds(self, graph: Graph) -> None:
        """Puts the learnt bounds, if there are any, into the output guard of a graph."""
        widest = 1 << self.act_bits + 7
        for node in graph.weighted():
            if node.name in self.bounds:
                codes = (self.bounds[node.name].double() / node.scale).round() + node.zero_point
                low, high = codes.clamp(-widest, widest - 1).long().numpy()
                node.guard_lo, node.guard_hi = np.minimum(low, high), np.maximum(low, high)

    @staticmethod
    def _folded(module: nn.Module) -> tuple[Tensor, Tensor]:
        """Weights and offset of a layer with its batch norm folded in, float64."""
        gain, offset = affine(module)
        return module.conv.weight.double() * gain[:, None, None, None], offset

    def _shifted_codes(self, real: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
        """Codes of weights, and scales [C_out, 1, 1, 1] that are ``ratio`` by powers of two."""
        most = (1 << self.weight_bits - 1) - 1
        largest = real.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-9)
        if self.per_tensor:
            largest = largest.amax().expand_as(largest)
        shift = torch.floor(torch.log2(most * ratio / largest)).clamp(0, _MOST_SHIFT)
        scale = ratio * torch.exp2(-shift)
        return (real / scale).round().clamp(-most, most), scale

    @staticmethod
    def _weights(module: nn.Module) -> Weights:
        quantized = module.conv.quant_weight()
        codes = quantized.int(float_datatype=False).numpy().astype(np.int8)
        scale = quantized.scale.double().flatten().expand(len(codes))
        gain, offset = affine(module)
        return Weights(codes, (scale * gain).numpy(), offset.numpy())


def fake_quantized(
    source: FloatNetwork,
    largest: Mapping[str, float],
    act_bits: int,
    weight_bits: int,
    scales: str = SCALES[0],
    granularity: str = GRANULARITIES[0],
) -> QuantizedNetwork:
    """Returns the fake-quantized form of a trained network, with its weights.

    Parameters
    ----------
    largest : by group of tensors
        Clips, as of :func:`nn.quantization.clipping.clips`.
    scales : of :data:`SCALES`
        Whether requantization has multipliers, or shifts alone.
    granularity : of :data:`GRANULARITIES`
        What has a scale of weights of its own: every output channel, or every layer.
    """
    power_of_two = scales == "power-of-two"
    if power_of_two:
        largest = power_of_two_clips(source.spec, largest, act_bits)
    net = QuantizedNetwork(
        source.spec,
        largest,
        act_bits,
        weight_bits,
        per_tensor=granularity == "tensor",
        power_of_two=power_of_two,
    )
    net.load_state_dict(source.state_dict(), strict=False)
    return net.to(memory_format=torch.channels_last)
