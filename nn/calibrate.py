"""Where to clip a tensor before it is quantized."""

from collections.abc import Mapping

import torch
from torch import Tensor

from nn.lower import Encoding, image_encoding
from nn.networks import Network, tensor_groups

__all__ = ["best_clip", "clips", "encodings"]


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


def clips(spec: Network, tensors: Mapping[str, Tensor], act_bits: int) -> dict[str, float]:
    """The largest real value that each group of tensors stores, by the group's key."""
    largest: dict[str, float] = {}
    for name, group in tensor_groups(spec).items():
        sample = tensors[name].flatten()
        sample = sample[:: max(1, len(sample) >> 16)].float()
        clip = float(best_clip(sample[None], _levels(group.non_negative, act_bits)))
        largest[group.key] = max(largest.get(group.key, 0.0), clip)
    return largest


def encodings(spec: Network, largest: Mapping[str, float], act_bits: int) -> dict[str, Encoding]:
    """The encoding of every tensor, for the largest real value that each group stores."""
    chosen = {}
    for name, group in tensor_groups(spec).items():
        scale = largest[group.key] / _levels(group.non_negative, act_bits)
        zero_point = -(1 << act_bits - 1) if group.non_negative else 0
        chosen[name] = (
            image_encoding(act_bits) if group.key == "image" else Encoding(scale, zero_point)
        )
    return chosen


def _levels(non_negative: bool, act_bits: int) -> int:
    return (1 << act_bits) - 1 if non_negative else (1 << act_bits - 1) - 1
