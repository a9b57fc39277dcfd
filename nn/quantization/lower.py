"""From real scales to the integer graph: batch norm folded, multipliers and shifts chosen."""

import math
from collections.abc import Mapping
from typing import Any

from holdfast.nn.graph.graph import Graph
from holdfast.nn.networks.spec import LayerSpec, Network, Shape
from holdfast.nn.operators.checks import ModelError
from holdfast.nn.operators.input import InputNode
from holdfast.nn.operators.node import Node
from holdfast.nn.operators.registry import operator
from holdfast.nn.operators.scales import Encoding, Lowering, Weights

__all__ = ["integer_graph"]


def integer_graph(
    spec: Network,
    weights: Mapping[str, Weights],
    encodings: Mapping[str, Encoding],
    *,
    act_bits: int,
    weight_bits: int,
    multiplier_bits: int = 16,
    rounding: str = "half_up",
) -> Graph:
    """The integer graph of a network; its guard bounds are open (see guard_bounds.py).

    Parameters
    ----------
    weights : by name of the convolutions and dense layers
    encodings : by name of the tensors, ``image`` (see :func:`image_encoding`) included

    Raises
    ------
    ModelError
        The network cannot be expressed in the contract.
    """
    lowering = Lowering(weights, act_bits, multiplier_bits)
    image = LayerSpec("image", "input", ())
    common = _common(image, spec.input_shape, encodings, lowering.codes)
    nodes: dict[str, Node] = {"image": InputNode(**common)}
    shapes = spec.shapes()
    for layer in spec.layers:
        common = _common(layer, shapes[layer.name], encodings, lowering.codes)
        sources = [nodes[name] for name in layer.inputs]
        nodes[layer.name] = operator(layer).lowered(layer, sources, lowering, common)
    graph = Graph(
        spec.name,
        act_bits,
        weight_bits,
        multiplier_bits,
        rounding,
        spec.classes,
        list(nodes.values()),
    )
    graph.validate()
    return graph


def _common(
    layer: LayerSpec, shape: Shape, encodings: Mapping[str, Encoding], codes: tuple[int, int]
) -> dict[str, Any]:
    """The fields that nodes of all operations have."""
    encoding, (low, high) = encodings[layer.name], codes
    scale, zero_point = encoding.scale, encoding.zero_point
    if not 0 < scale < math.inf:
        raise ModelError(f"scale of layer {layer.name!r} must be finite and above 0, not {scale}.")
    return {
        "name": layer.name,
        "inputs": layer.inputs,
        "shape": shape,
        "scale": scale,
        "zero_point": zero_point,
        "lo": low if layer.activation == "none" else max(low, zero_point),
        "hi": min(high, zero_point + round(min(6 / scale, 1 << 8)))
        if layer.activation == "relu6"
        else high,
    }
