"""Says where to clip a tensor before it is quantized."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.spec import Network, tensor_groups
from holdfast.nn.operators.registry import operator

CLIP_METHODS = ("max", "percentile", "mse")

PERCENTILE = 99.99


def best_clip(values: Tensor, levels: int) -> Tensor:
    """Clips of the rows of values, [R, N], that lose the least squared error.

    Parameters
    ----------
    levels : int
        Steps between zero and the clip.

    Returns
    -------
    Tensor
        [R], positive.
    """
    magnitude = values.abs()
    top = magnitude.amax(1).clamp(min=1e-6)
    best, least = top, torch.full_like(top, torch.inf)
    for fraction in torch.linspace(0.1, 1, 19).tolist():
        step = (top * fraction / levels)[:, None]
        error = ((magnitude / step).round().clamp(max=levels) * step - magnitude).square().sum(1)
        best = torch.where(error < least, top * fraction, best)
        least = torch.minimum(error, least)
    return best


@torch.no_grad()
def clips(
    spec: Network, tensors: Mapping[str, Tensor], act_bits: int, method: str = "percentile"
) -> dict[str, float]:
    """Returns the largest real value that each group of tensors stores, by the group's key.

    Parameters
    ----------
    method : "max", "percentile" or "mse"
        The largest magnitude; the one that 99.99 % of the values stay below; or the clip that
        loses the least squared error. Clipping costs classes more than its squared error tells:
        the few large activations decide them.
    """
    largest: dict[str, float] = {}
    for name, group in tensor_groups(spec).items():
        values = tensors[name].flatten().float().abs()
        if method == "mse":
            sample = values[:: max(1, len(values) >> 16)]
            clip = float(best_clip(sample[None], _levels(group.non_negative, act_bits)))
        else:
            share = PERCENTILE / 100 if method == "percentile" else 1.0
            clip = float(values.kthvalue(math.ceil(share * len(values))).values)
        largest[group.key] = max(largest.get(group.key, 0.0), clip, 1e-6)
    return largest


@torch.no_grad()
def clips_on(
    net: FloatNetwork, images: NDArray[np.uint8], act_bits: int, method: str = "percentile"
) -> dict[str, float]:
    """Returns :func:`clips` of what a network computes from images, uint8 [N, C, H, W]."""
    tensors = net.eval().tensors(torch.from_numpy(images).float() / 255)
    return clips(net.spec, tensors, act_bits, method)


def power_of_two_clips(
    spec: Network, largest: Mapping[str, float], act_bits: int
) -> dict[str, float]:
    """The clips at or above those given at which every scale is a power of two.

    No addition writes a finer step than it reads, no average pooling a finer one than a unit of its
    sum is worth: shifts only divide.
    """
    groups = tensor_groups(spec)
    # of signed values Brevitas takes the clip for the magnitude of the lowest code
    levels = {
        group.key: (1 << act_bits) - 1 if group.non_negative else 1 << act_bits - 1
        for group in groups.values()
    }
    steps = {key: 2.0 ** math.ceil(math.log2(clip / levels[key])) for key, clip in largest.items()}
    rescaling = [
        (groups[layer.name].key, groups[source].key, max(1, operator(layer).averaged(layer)))
        for layer in spec.layers
        if not (operator(layer).weighted or operator(layer).passes_encoding)
        for source in layer.inputs
        if source != "image"
    ]
    finer = True
    while finer:
        finer = False
        for target, source, divisor in rescaling:
            if steps[target] < steps[source] / divisor:
                steps[target] = 2.0 ** math.ceil(math.log2(steps[source] / divisor))
                finer = True
    return {key: step * levels[key] for key, step in steps.items()}


def _levels(non_negative: bool, act_bits: int) -> int:
    return (1 << act_bits) - 1 if non_negative else (1 << act_bits - 1) - 1
