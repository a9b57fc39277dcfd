"""Fault models at network level on the golden model: faulty logits of whole data sets, in integers.

    logits = faulty_logits(Golden(graph, "bound", "bound"), codes, SingleActivationFlip(seed=1))

A fault model strikes where it does in :class:`QuantizedNetwork`. Stored activations
are struck after the layer that computes them, so that the input guard of the next layer sees them;
sums before the output guard and the clamp.
"""

import math
from collections.abc import Collection
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.graph import ConvNode, Graph, Node

from .base import ErrorModel


def stored_sizes(graph: Graph) -> dict[str, int]:
    """Returns stored activations of one image by node, without image and logits."""
    return {node.name: math.prod(node.shape) for node in graph.nodes[:-1] if node.stored}


def strikes_weights(faults: ErrorModel) -> bool:
    """Tells whether images of one batch share faults."""
    return type(faults).weights is not ErrorModel.weights


def faulty_logits(golden: Golden, codes: Tensor, faults: ErrorModel, batch: int = 100) -> Tensor:
    """Returns codes of the last node under a fault model, int8 [N, classes].

    Every image has activation faults of its own, and every batch weight faults of its own.

    Parameters
    ----------
    golden : Golden
        With the guard that it shall have; its graph is left as it is.
    codes : int8 [N, C, H, W]
        Input codes.
    """
    sizes = stored_sizes(golden.graph)
    model = _model(golden, golden.graph, faults, sizes)
    parts = []
    for part in codes.split(batch):
        faults.start(sizes, len(part), golden.graph.act_bits, part.device)
        if strikes_weights(faults):
            model = _model(golden, faulty_weights(golden.graph, faults), faults, sizes)
        parts.append(model.logits(part, batch))
    return torch.cat(parts)


def _model(golden: Golden, graph: Graph, faults: ErrorModel, sizes: Collection[str]) -> Golden:
    """A golden model with the same guard, whose sums and stored activations are struck."""

    def strike(node: ConvNode, v: Tensor) -> Tensor:
        if node.kind != "conv":
            return v
        real = v.sub(node.zero_point).float().mul_(node.scale)
        struck = faults.sums(real, node.weight[0].size, graph.act_bits, node.name)
        codes = struck.div(node.scale).round_().to(v.dtype).add_(node.zero_point)
        # What is not struck keeps its integer, whatever float32 makes of it.
        return torch.where(struck == real, v, codes)

    def strike_stored(node: Node, output: Tensor) -> Tensor:
        if node.name not in sizes:
            return output
        # In steps of one: exact, and the code is the value plus the zero point.
        steps = output.float().sub_(node.zero_point)
        struck = faults.stored(node.name, steps, torch.ones(()), node.zero_point, graph.act_bits)
        return struck.add(node.zero_point).to(torch.int8)

    model = Golden(graph, golden.output_guard, golden.input_guard, golden.fixed_bound)
    if type(faults).sums is not ErrorModel.sums:
        model.disturb = strike
    model.disturb_output = strike_stored
    return model


def faulty_weights(graph: Graph, faults: ErrorModel) -> Graph:
    """The graph with the weights of its convolutions struck as a pass under the model has them.

    Biases take the zero point's share back for the struck weights, unless the model says that the
    hardware does not.
    """
    nodes = list(graph.nodes)
    for index, node in enumerate(nodes):
        if isinstance(node, ConvNode) and node.kind == "conv":
            codes = torch.from_numpy(node.weight).float()
            weight = faults.weights(codes, graph.weight_bits).numpy().astype(np.int8)
            change = (weight.astype(np.int64) - node.weight).sum((1, 2, 3))
            correction = faults.zero_point_correction(codes, graph.weight_bits)
            if correction is not None:
                change = change - correction.numpy().astype(np.int64)
            bias = node.bias - graph[node.inputs[0]].zero_point * change
            nodes[index] = replace(node, weight=weight, bias=bias)
    return replace(graph, nodes=nodes)
