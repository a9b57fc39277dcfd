"""An untrained network as an integer graph: right in every respect but its accuracy."""

import math

import numpy as np
import torch

from holdfast.nn.data.cifar import generated_images
from holdfast.nn.graph.graph import Graph
from holdfast.nn.networks.float import FloatNetwork, affine
from holdfast.nn.networks.registry import network
from holdfast.nn.networks.spec import Network, tensor_groups, weighted
from holdfast.nn.operators.registry import operator
from holdfast.nn.operators.scales import Encoding, Weights, image_encoding
from holdfast.nn.quantization.clipping import best_clip, clips
from holdfast.nn.quantization.guard_bounds import learn_bounds
from holdfast.nn.quantization.lower import integer_graph


def random_graph(
    spec: Network | str,
    seed: int = 0,
    act_bits: int = 8,
    weight_bits: int = 8,
    multiplier_bits: int = 16,
    rounding: str = "half_up",
) -> Graph:
    """A network with random weights, scales that fit its activations, and learnt guard bounds.

    Parameters
    ----------
    spec : Network or str
        A network, or the name of one.
    multiplier_bits : int
        With 0, all scales are powers of two.
    """
    spec = network(spec) if isinstance(spec, str) else spec
    images = generated_images(32, seed).images
    c, h, w = spec.input_shape
    images = np.resize(images, (32, c, 32, 32))[:, :, :h, :w].copy()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        net = FloatNetwork(spec)
        for module in net.layers.values():
            if hasattr(module, "bn"):
                module.bn.momentum = None
                module.bn.weight.uniform_(0.5, 1.5)
                # folding has to turn some weights around
                module.bn.weight[::5] *= -1
                module.bn.bias.uniform_(-0.3, 0.5)
        pixels = torch.from_numpy(images).float() / 255
        net(pixels)
        logits = net.eval()(pixels)
        net.layers[spec.layers[-1].name].conv.bias -= logits.mean(0)
        tensors = net.tensors(pixels)
        weights = {layer.name: _quantize(net, layer.name, weight_bits) for layer in weighted(spec)}
    chosen = _encodings(spec, clips(spec, tensors, act_bits), act_bits)
    if multiplier_bits == 0:
        chosen = {
            name: code if name == "image" else Encoding(_power_of_two(code.scale), code.zero_point)
            for name, code in chosen.items()
        }
        _coarsen_averages(spec, chosen)
        for layer in weighted(spec):
            ratio = chosen[layer.inputs[0]].scale / chosen[layer.name].scale
            given = weights[layer.name]
            factors = [math.copysign(min(_power_of_two(abs(g * ratio)), 1), g) for g in given.gain]
            weights[layer.name] = Weights(given.codes, np.array(factors) / ratio, given.offset)
    graph = integer_graph(
        spec,
        weights,
        chosen,
        act_bits=act_bits,
        weight_bits=weight_bits,
        multiplier_bits=multiplier_bits,
        rounding=rounding,
    )
    graph.provenance = {"command": f"random_graph, seed {seed}"}
    learn_bounds(graph, images)
    return graph


def _encodings(spec: Network, largest: dict[str, float], act_bits: int) -> dict[str, Encoding]:
    """The encoding of every tensor, for the largest real value that each group stores."""
    chosen = {}
    for name, group in tensor_groups(spec).items():
        levels = (1 << act_bits) - 1 if group.non_negative else (1 << act_bits - 1) - 1
        scale = largest[group.key] / levels
        zero_point = -(1 << act_bits - 1) if group.non_negative else 0
        chosen[name] = (
            image_encoding(act_bits) if group.key == "image" else Encoding(scale, zero_point)
        )
    return chosen


def _quantize(net: FloatNetwork, name: str, weight_bits: int) -> Weights:
    module = net.layers[name]
    weight = module.conv.weight.double()
    top = (1 << weight_bits - 1) - 1
    scale = best_clip(weight.flatten(1), top) / top
    codes = (weight / scale.reshape(-1, 1, 1, 1)).round().clamp(-top, top).to(torch.int8).numpy()
    gain, offset = affine(module)
    return Weights(codes, (scale * gain).numpy(), offset.numpy())


def _coarsen_averages(spec: Network, chosen: dict[str, Encoding]) -> None:
    """Without a multiplier an average cannot become finer than what it is taken of."""
    groups = tensor_groups(spec)
    for layer in spec.layers:
        count = operator(layer).averaged(layer)
        least = _power_of_two(chosen[layer.inputs[0]].scale / max(count, 1))
        if count and chosen[layer.name].scale < least:
            for name, group in groups.items():
                if group.key == groups[layer.name].key:
                    chosen[name] = Encoding(least, chosen[name].zero_point)


def _power_of_two(value: float) -> float:
    return 2.0 ** round(math.log2(value))
