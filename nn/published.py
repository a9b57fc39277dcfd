"""Published float weights as a starting point of training."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gen.errors import HoldfastError
from nn.networks import Network

__all__ = ["published_resnet20"]

_MEAN = torch.tensor([0.485, 0.456, 0.406])
_DEVIATION = torch.tensor([0.229, 0.224, 0.225])


def published_resnet20(path: Path, spec: Network) -> dict[str, Tensor]:
    """State of FloatNetwork(resnet20) from a checkpoint of akamaster/pytorch_resnet_cifar10.

    That network normalizes its pixels, which moves into the first convolution and its batch norm,
    and its shortcuts put half of the new channels in front, so that channels change places here.

    Source: Y. Idelbayev, "Proper ResNet implementation for CIFAR10/CIFAR100 in PyTorch".

    Raises
    ------
    HoldfastError
        The file is no such checkpoint, or the network is not ResNet-20.
    """
    if spec.name != "resnet20":
        raise HoldfastError(f"published weights are for resnet20, not for {spec.name}")
    try:
        loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        given = {key.removeprefix("module."): value for key, value in loaded["state_dict"].items()}
        return _convert(given)
    except Exception as error:  # torch.load raises whatever its file format layers do
        reason = str(error).splitlines()[0]
        raise HoldfastError(f"{path} is no published ResNet-20: {reason}") from error


def _convert(given: dict[str, Tensor]) -> dict[str, Tensor]:
    narrow = torch.arange(16)
    middle = torch.cat([8 + narrow, torch.arange(8), torch.arange(24, 32)])
    wide = torch.cat([16 + middle, torch.arange(16), torch.arange(48, 64)])
    order = {1: narrow, 2: middle, 3: wide}
    state = {f"layers.stem.bn.{key[4:]}": value for key, value in given.items()
             if key.startswith("bn1.")}  # fmt: skip
    first = given["conv1.weight"] / _DEVIATION[:, None, None]
    state["layers.stem.conv.weight"] = first
    state["layers.stem.bn.running_mean"] = state["layers.stem.bn.running_mean"] + (
        first * _MEAN[:, None, None]
    ).sum((1, 2, 3))
    for key, value in given.items():
        match = re.fullmatch(r"layer(\d)\.(\d)\.(conv|bn)(\d)\.(\w+)", key)
        if match is None:
            continue
        stack, block, kind, number, field = match.groups()
        source = order[max(1, int(stack) - (block == "0"))]
        if kind == "conv" and number == "1":
            value = value[:, source]
        elif number == "2" and value.ndim > 0:
            value = value[order[int(stack)]]
        layer = f"block{3 * (int(stack) - 1) + int(block) + 1}_conv{number}"
        state[f"layers.{layer}.{kind}.{field}"] = value
    state["layers.logits.conv.weight"] = given["linear.weight"][:, wide, None, None]
    state["layers.logits.conv.bias"] = given["linear.bias"]
    return state
