"""What an integer graph has to hold to: the contract, its bounds, and names that are plain.

The contract is in docs/architecture.md, "The integer contract".
"""

import math
import re
from typing import TYPE_CHECKING, Any

from holdfast.base.text import shown

from .nodes import (
    ACC_BITS_LIMIT,
    AddNode,
    AvgPoolNode,
    ConcatNode,
    ConvNode,
    DenseNode,
    InputNode,
    MaxPoolNode,
    ModelError,
    Node,
    ShortcutNode,
)

if TYPE_CHECKING:
    from .graph import Graph

__all__ = ["NODES_LIMIT", "SIDE_LIMIT", "Validator", "check_name", "is_plain"]

NODES_LIMIT = 4096
SIDE_LIMIT = 1 << 16
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
            self.inside(name, getattr(graph, name), low, high)
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
        arity = {"input": 0, "add": 2}.get(node.op, 1)
        if len(node.inputs) != arity and not (node.op == "concat" and node.inputs):
            raise ModelError(
                f"layer {node.name!r} must have {arity} inputs, not {len(node.inputs)}."
            )
        for name in node.inputs:
            if not isinstance(name, str) or name not in self.seen:
                raise ModelError(
                    f"layer {node.name!r} reads {shown(name)}, which no earlier layer makes."
                )
        if len(node.shape) != 3:
            raise ModelError(f"shape {where} must be (C, H, W), not {shown(node.shape)}.")
        for size in node.shape:
            self.inside(f"a side of the shape {where}", size, 1, SIDE_LIMIT)
        if not (isinstance(node.scale, float) and 0 < node.scale < math.inf):
            raise ModelError(f"scale {where} must be a positive number, not {shown(node.scale)}.")
        low, high = self.graph.codes
        self.inside(f"zero_point {where}", node.zero_point, low, high)
        self.inside(f"lo {where}", node.lo, low, high)
        self.inside(f"hi {where}", node.hi, node.lo, high)
        sources = [self.seen[name] for name in node.inputs]
        if isinstance(node, ConvNode):
            self.convolution(node, sources[0], where)
        elif isinstance(node, AddNode):
            wide = max(self.graph.multiplier_bits, 8)
            self.inside(f"multiplier_a {where}", node.multiplier_a, 0, (1 << wide) - 1)
            self.inside(f"multiplier_b {where}", node.multiplier_b, 0, (1 << wide) - 1)
            self.inside(f"shift {where}", node.shift, 0, ACC_BITS_LIMIT + wide - 1)
            self.shape(node, sources[1].shape)
            self.shape(node, sources[0].shape)
        elif isinstance(node, AvgPoolNode | MaxPoolNode):
            self.pool(node, sources[0], where)
        elif isinstance(node, ShortcutNode):
            self.inside(f"stride {where}", node.stride, 1, 1 << 8)
            c, h, w = sources[0].shape
            if node.shape[0] < c:
                raise ModelError(
                    f"shortcut {node.name!r} must not lose channels: "
                    f"{c} before, {node.shape[0]} after."
                )
            self.shape(node, (node.shape[0], -(-h // node.stride), -(-w // node.stride)))
        elif isinstance(node, ConcatNode):
            self.shape(node, (sum(s.shape[0] for s in sources), *sources[0].shape[1:]))
        if isinstance(node, MaxPoolNode | ShortcutNode | ConcatNode):
            for source in sources:
                if (source.scale, source.zero_point) != (node.scale, node.zero_point):
                    raise ModelError(
                        f"{node.op} {node.name!r} must have the scale and zero point "
                        f"of its input {source.name!r}."
                    )

    def convolution(self, node: ConvNode, source: Node, where: str) -> None:
        graph = self.graph
        self.inside(f"stride {where}", node.stride, 1, 1 << 8)
        self.inside(f"padding {where}", node.padding, 0, 1 << 8)
        self.inside(f"dilation {where}", node.dilation, 1, 1 << 8)
        self.inside(f"groups {where}", node.groups, 1, source.shape[0])
        self.inside(f"offset {where}", node.offset, 0, 1 << 8)
        c, h, w = source.shape
        out = node.shape[0]
        if c % node.groups or out % node.groups:
            raise ModelError(
                f"groups {where} must divide its {c} input and {out} output channels, "
                f"not be {node.groups}."
            )
        if node.weight.ndim != 4 or node.weight.shape[:2] != (out, c // node.groups):
            raise ModelError(
                f"weight {where} must have shape ({out}, {c // node.groups}, kh, kw), "
                f"not {node.weight.shape}."
            )
        kh, kw = node.weight.shape[2:]
        self.inside(f"kernel height {where}", kh, 1, SIDE_LIMIT)
        self.inside(f"kernel width {where}", kw, 1, SIDE_LIMIT)
        if isinstance(node, DenseNode) and (
            (kh, kw, node.stride, node.padding, node.offset, node.groups) != (h, w, 1, 0, 0, 1)
        ):
            raise ModelError(
                f"dense layer {node.name!r} must cover its whole {h}x{w} input with "
                f"stride 1, no padding and no offset."
            )
        self.shape(
            node,
            (
                out,
                *(
                    _window(size - node.offset, k, node.stride, node.padding, node.dilation)
                    for size, k in ((h, kh), (w, kw))
                ),
            ),
        )
        top = (1 << graph.weight_bits - 1) - 1
        multiplier = (1, 1) if graph.multiplier_bits == 0 else (0, (1 << graph.multiplier_bits) - 1)
        guard = 1 << graph.act_bits + 7
        for name, low, high in (
            ("weight", -top, top),
            ("multiplier", *multiplier),
            ("shift", 0, ACC_BITS_LIMIT + graph.multiplier_bits - 1),
            ("bias", -(1 << ACC_BITS_LIMIT - 1), (1 << ACC_BITS_LIMIT - 1) - 1),
            ("guard_lo", -guard, guard - 1),
            ("guard_hi", -guard, guard - 1),
        ):
            array = getattr(node, name)
            if name != "weight" and array.shape != (out,):
                raise ModelError(f"{name} {where} must have {out} entries, not {array.shape}.")
            self.inside(f"{name} {where}", int(array.min()), low, high)
            self.inside(f"{name} {where}", int(array.max()), low, high)
        if (node.guard_lo > node.guard_hi).any():
            raise ModelError(f"guard_lo {where} must not exceed guard_hi.")
        self.inside(f"input_lo {where}", node.input_lo, *graph.codes)
        self.inside(f"input_hi {where}", node.input_hi, node.input_lo, graph.codes[1])
        need = graph.accumulator_bits(node)
        if need > ACC_BITS_LIMIT:
            raise ModelError(
                f"layer {node.name!r} needs an accumulator of {need} bits; "
                f"at most {ACC_BITS_LIMIT} are possible."
            )

    def pool(self, node: AvgPoolNode | MaxPoolNode, source: Node, where: str) -> None:
        self.inside(f"kernel {where}", node.kernel, 1, 1 << 8)
        self.inside(f"stride {where}", node.stride, 1, 1 << 8)
        self.inside(f"padding {where}", node.padding, 0, node.kernel // 2)
        c, h, w = source.shape
        self.shape(
            node,
            (c, *(_window(size, node.kernel, node.stride, node.padding, 1) for size in (h, w))),
        )
        if isinstance(node, AvgPoolNode):
            wide = self.graph.multiplier_bits or 8
            self.inside(f"multiplier {where}", node.multiplier, 0, (1 << wide) - 1)
            self.inside(f"shift {where}", node.shift, 0, ACC_BITS_LIMIT + wide - 1)

    @staticmethod
    def inside(what: str, value: Any, low: int, high: int) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ModelError(
                f"{what} must be a whole number from {low} to {high}, not {shown(value)}."
            )

    @staticmethod
    def shape(node: Node, expected: tuple[int, ...]) -> None:
        if node.shape != expected:
            raise ModelError(f"layer {node.name!r} must have shape {expected}, not {node.shape}.")


def _window(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def is_plain(value: Any, depth: int = _DEPTH) -> bool:
    """Whether a value is what JSON can hold, nested at most so deep."""
    if isinstance(value, dict):
        return depth > 0 and all(
            isinstance(name, str) and is_plain(part, depth - 1) for name, part in value.items()
        )
    if isinstance(value, list | tuple):
        return depth > 0 and all(is_plain(part, depth - 1) for part in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)
