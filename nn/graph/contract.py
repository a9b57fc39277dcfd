"""Says what an integer graph has to hold to: the contract, its bounds, and names that are plain.

The contract is in docs/architecture.md, "The integer contract".
"""

import math
import re
from typing import TYPE_CHECKING, Any

from holdfast.base.text import shown
from holdfast.nn.operators.checks import SIDE_LIMIT, ModelError, check_inside
from holdfast.nn.operators.input import InputNode
from holdfast.nn.operators.node import Node

if TYPE_CHECKING:
    from .graph import Graph

NODES_LIMIT = 4096
_ROUNDINGS = ("half_up", "half_even", "floor")
_NAME_LIMIT = 64
# Names become parts of files' names, of fault ids, of step names ("concat.0") and of terminal text.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_DEPTH = 16


def check_name(what: str, name: Any, dots: bool = False) -> None:
    """Refuse a name that a file, a fault id or a terminal could take for more than a name.

    Parameters
    ----------
    what : str
        What has the name.
    dots : bool
        Allow single dots in it, as in ``vgg16_w0.125``.

    Raises
    ------
    ModelError
        It is no text of 1 to 64 ASCII letters, digits, ``_`` and ``-`` that begins with none of
        ``-`` and ``.``.
    """
    plain = isinstance(name, str) and 0 < len(name) <= _NAME_LIMIT
    if not plain or not all(_NAME.fullmatch(p) for p in (name.split(".") if dots else [name])):
        marks = "_, - and single dots" if dots else "_ and -"
        raise ModelError(
            f"{what} must be 1 to {_NAME_LIMIT} ASCII letters, digits, {marks}, "
            f"a letter, digit or _ first, not {shown(name, 60)}."
        )


class Validator:
    """Walks a graph once and raises ModelError at the first breach."""

    def __init__(self, graph: "Graph") -> None:
        self.graph = graph
        self.seen: dict[str, Node] = {}

    def run(self) -> None:
        graph = self.graph
        check_name("the name of a network", graph.network, dots=True)
        for name, low, high in (
            ("act_bits", 2, 8),
            ("weight_bits", 2, 8),
            ("multiplier_bits", 0, 31),
            ("classes", 1, SIDE_LIMIT),
        ):
            check_inside(name, getattr(graph, name), low, high)
        if graph.rounding not in _ROUNDINGS:
            raise ModelError(
                f"rounding must be one of {', '.join(_ROUNDINGS)}, not {shown(graph.rounding)}."
            )
        if not graph.nodes or not isinstance(graph.nodes[0], InputNode):
            raise ModelError("the first node of a graph must be its input.")
        if len(graph.nodes) > NODES_LIMIT:
            raise ModelError(
                f"a graph has at most {NODES_LIMIT} layers, this one {len(graph.nodes)}."
            )
        for node in graph.nodes:
            self.node(node)
            self.seen[node.name] = node
        if next(graph.weighted(), None) is None:
            raise ModelError("a graph must have a convolution or dense layer.")
        if not is_plain(graph.provenance):
            raise ModelError(
                f"provenance must hold JSON values nested at most {_DEPTH} deep, "
                f"not {shown(graph.provenance)}."
            )
        if graph.nodes[-1].shape != (graph.classes, 1, 1):
            raise ModelError(
                f"the last layer must have shape {(graph.classes, 1, 1)}, "
                f"not {graph.nodes[-1].shape}."
            )

    def node(self, node: Node) -> None:
        check_name("the name of a layer", node.name)
        where = f"of layer {node.name!r}"
        if node.name in self.seen:
            raise ModelError(f"two layers have the name {node.name!r}.")
        if isinstance(node, InputNode) and self.seen:
            raise ModelError(f"a graph has one input, but {node.name!r} is a second one.")
        if len(node.inputs) != node.arity and not (node.arity is None and node.inputs):
            raise ModelError(
                f"layer {node.name!r} must have {1 if node.arity is None else node.arity} inputs, "
                f"not {len(node.inputs)}."
            )
        for name in node.inputs:
            if not isinstance(name, str) or name not in self.seen:
                raise ModelError(
                    f"layer {node.name!r} reads {shown(name)}, which no earlier layer makes."
                )
        if len(node.shape) != 3:
            raise ModelError(f"shape {where} must be (C, H, W), not {shown(node.shape)}.")
        for size in node.shape:
            check_inside(f"a side of the shape {where}", size, 1, SIDE_LIMIT)
        if not (isinstance(node.scale, float) and 0 < node.scale < math.inf):
            raise ModelError(f"scale {where} must be a positive number, not {shown(node.scale)}.")
        low, high = self.graph.codes
        check_inside(f"zero_point {where}", node.zero_point, low, high)
        check_inside(f"lo {where}", node.lo, low, high)
        check_inside(f"hi {where}", node.hi, node.lo, high)
        sources = [self.seen[name] for name in node.inputs]
        node.check(self.graph, sources)
        for source in sources if node.passes_encoding else ():
            if (source.scale, source.zero_point) != (node.scale, node.zero_point):
                raise ModelError(
                    f"{node.op} {node.name!r} must have the scale and zero point "
                    f"of its input {source.name!r}."
                )


def is_plain(value: Any, depth: int = _DEPTH) -> bool:
    """Tells whether a value is what JSON can hold, nested at most so deep."""
    if isinstance(value, dict):
        return depth > 0 and all(
            isinstance(name, str) and is_plain(part, depth - 1) for name, part in value.items()
        )
    if isinstance(value, list | tuple):
        return depth > 0 and all(is_plain(part, depth - 1) for part in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)
