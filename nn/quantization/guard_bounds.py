"""Learning the bounds of the range guard."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.graph import ConvNode, Graph
from holdfast.nn.graph.pixels import image_codes


def learn_bounds(graph: Graph, images: NDArray[np.uint8], batch: int = 100) -> None:
    """Sets every guard bound of a graph to the extremes that images, uint8 [N, C, H, W], reach.

    A bound beyond the act_bits + 8 bits of the guard stays at the end of that range.
    """
    golden = Golden(graph)
    widest = 1 << graph.act_bits + 7
    low = {node.name: torch.full((node.shape[0],), widest - 1) for node in graph.weighted()}
    high = {name: -1 - bounds for name, bounds in low.items()}
    codes = {node.name: graph.codes[::-1] for node in graph.weighted()}

    def note(node: ConvNode, x: Tensor, v: Tensor) -> None:
        low[node.name] = torch.minimum(low[node.name], v.amin((0, 2, 3)))
        high[node.name] = torch.maximum(high[node.name], v.amax((0, 2, 3)))
        lowest, highest = codes[node.name]
        codes[node.name] = min(lowest, int(x.min())), max(highest, int(x.max()))

    golden.observe = note
    for part in image_codes(images, graph.act_bits).split(batch):
        golden.run(part, keep=())
    for node in graph.weighted():
        node.guard_lo = low[node.name].clamp(-widest, widest - 1).numpy()
        node.guard_hi = high[node.name].clamp(-widest, widest - 1).numpy()
        # Lanes without a channel hold the zero point; it must not fire.
        zero = graph[node.inputs[0]].zero_point
        lowest, highest = codes[node.name]
        node.input_lo, node.input_hi = min(lowest, zero), max(highest, zero)


def tighter_bounds(graph: Graph) -> tuple[int, int]:
    """Counts the bounds of the output guard that cut off more than the clamp does, and all of them.

    Only these can change an output; the others detect values that the clamp saturates anyway.
    """
    tighter = total = 0
    for node in graph.weighted():
        tighter += int((node.guard_lo > node.lo).sum() + (node.guard_hi < node.hi).sum())
        total += 2 * len(node.guard_lo)
    return tighter, total
