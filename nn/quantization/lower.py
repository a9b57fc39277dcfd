"""From real scales to the integer graph: batch norm folded, multipliers and shifts chosen."""

from collections.abc import Mapping

from holdfast.nn.graph.graph import Graph
from holdfast.nn.networks.spec import LayerSpec, Network
from holdfast.nn.operators.node import Lowering, Node
from holdfast.nn.operators.registry import operator
from holdfast.nn.operators.scales import Encoding, Weights


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
    """Returns the integer graph of a network; its guard bounds are open (see guard_bounds.py).

    Parameters
    ----------
    weights : by name of the convolutions and dense layers
    encodings : by name of the tensors, ``image`` (see :func:`image_encoding`) included

    Raises
    ------
    ModelError
        The network cannot be expressed in the contract.
    """
    shapes = spec.shapes()
    nodes: dict[str, Node] = {}
    for layer in (LayerSpec("image", "input", ()), *spec.layers):
        sources, name = [nodes[name] for name in layer.inputs], layer.name
        given = Lowering(
            layer, shapes[name], sources, encodings[name], weights, act_bits, multiplier_bits
        )
        nodes[name] = operator(layer).lowered(given)
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
