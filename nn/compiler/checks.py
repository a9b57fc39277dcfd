"""Refuses networks that compute with other widths than the accelerator, or need more than it has.

Every refusal is a `HoldfastError` of one sentence with the layer, the need and what there is.
"""

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import ADD_SHIFT_BITS
from holdfast.nn.graph.graph import AddNode, AvgPoolNode, ConvNode, Graph


def check_room(who: str, need: int, have: int, what: str) -> None:
    """Refuses what does not fit; ``what`` is as in ``words of weight memory``."""
    if need > have:
        raise HoldfastError(f"{who} needs {need} {what}, the accelerator has {have}.")


def check_widths(graph: Graph, config: AcceleratorConfig) -> None:
    """Refuses a network whose codes, sums or shifts are wider than the accelerator's."""
    for name in ("act_bits", "weight_bits", "multiplier_bits", "rounding"):
        if getattr(graph, name) != getattr(config, name):
            raise HoldfastError(
                f"network {graph.network} has {name} {getattr(graph, name)}, "
                f"the accelerator has {getattr(config, name)}."
            )
    for node in graph.nodes:
        if isinstance(node, ConvNode):
            need = graph.accumulator_bits(node)
        elif isinstance(node, AvgPoolNode):
            largest = (1 << graph.act_bits - 1) + abs(graph[node.inputs[0]].zero_point)
            need = (node.kernel**2 * largest).bit_length() + 1
        else:
            continue
        if need > config.acc_bits:
            raise HoldfastError(
                f"layer {node.name} needs acc_bits of at least {need}, "
                f"the accelerator has {config.acc_bits}."
            )
    for node in graph.weighted():
        for shift in node.shift:
            if shift > config.max_shift:
                raise HoldfastError(
                    f"layer {node.name} shifts by {shift}, the accelerator by at most "
                    f"{config.max_shift} (acc_bits + multiplier_bits - 1)."
                )
    for node in graph.nodes:
        if isinstance(node, AddNode) and node.shift >> ADD_SHIFT_BITS:
            raise HoldfastError(
                f"residual add {node.name} shifts by {node.shift}, the accelerator by at most "
                f"{(1 << ADD_SHIFT_BITS) - 1}."
            )
