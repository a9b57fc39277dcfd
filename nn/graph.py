"""The integer graph: a quantized network as the hardware computes it, and its file.

The arithmetic of every operation is in docs/architecture.md, "The integer contract".
"""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from base.errors import HoldfastError
from base.files import write_atomically

__all__ = [
    "ACC_BITS_LIMIT",
    "AddNode",
    "AvgPoolNode",
    "ConcatNode",
    "ConvNode",
    "DenseNode",
    "Graph",
    "InputNode",
    "MaxPoolNode",
    "ModelError",
    "Node",
    "ShortcutNode",
    "accumulator_bits",
    "accumulator_bound",
]

FORMAT_VERSION = 1
ACC_BITS_LIMIT = 32
ROUNDINGS = ("half_up", "half_even", "floor")

Integers = NDArray[np.int64]


class ModelError(HoldfastError):
    """An integer graph or its file breaks the contract."""


@dataclass(kw_only=True)
class Node:
    """One tensor and the operation that makes it.

    Parameters
    ----------
    shape : (int, int, int)
        C, H, W of the output.
    scale, zero_point : float, int
        Real value = scale * (code - zero_point).
    lo, hi : int
        Clamp of the output codes.
    """

    op: ClassVar[str] = ""
    arrays: ClassVar[tuple[str, ...]] = ()

    name: str
    inputs: tuple[str, ...] = ()
    shape: tuple[int, int, int]
    scale: float
    zero_point: int
    lo: int
    hi: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference; only convolutions and dense layers have any."""
        return 0


@dataclass(kw_only=True)
class InputNode(Node):
    """The image."""

    op = "input"


@dataclass(kw_only=True)
class ConvNode(Node):
    """Convolution, requantization, range guard and clamp.

    Parameters
    ----------
    weight : int8 [C_out, C_in / groups, kh, kw]
    bias, multiplier, shift : int64 [C_out]
    guard_lo, guard_hi : int64 [C_out]
        Bounds of the output guard, before the clamp.
    input_lo, input_hi : int
        Bounds of the input guard, in input codes.
    offset : int
        Row and column of the padded input at which the window of output pixel (0, 0) begins.
    """

    op = "conv"
    arrays = ("weight", "bias", "multiplier", "shift", "guard_lo", "guard_hi")

    weight: NDArray[np.int8]
    bias: Integers
    multiplier: Integers
    shift: Integers
    guard_lo: Integers
    guard_hi: Integers
    input_lo: int
    input_hi: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    offset: int = 0

    @property
    def macs(self) -> int:
        return int(self.weight[0].size) * math.prod(self.shape)


@dataclass(kw_only=True)
class DenseNode(ConvNode):
    """Fully connected: a convolution whose kernel is the whole input map."""

    op = "dense"


@dataclass(kw_only=True)
class AddNode(Node):
    """Residual addition of two stored tensors."""

    op = "add"

    multiplier_a: int
    multiplier_b: int
    shift: int


@dataclass(kw_only=True)
class AvgPoolNode(Node):
    """Average over a window; 1 / count is part of the multiplier."""

    op = "avgpool"

    kernel: int
    stride: int
    padding: int = 0
    multiplier: int
    shift: int


@dataclass(kw_only=True)
class MaxPoolNode(Node):
    """Largest code of a window."""

    op = "maxpool"

    kernel: int
    stride: int
    padding: int = 0


@dataclass(kw_only=True)
class ShortcutNode(Node):
    """ResNet option A: every stride-th pixel; new channels at the end hold the zero point."""

    op = "shortcut"

    stride: int


@dataclass(kw_only=True)
class ConcatNode(Node):
    """The channels of all inputs, one after the other."""

    op = "concat"


_NODES: dict[str, type[Node]] = {
    node.op: node
    for node in (
        InputNode,
        ConvNode,
        DenseNode,
        AddNode,
        AvgPoolNode,
        MaxPoolNode,
        ShortcutNode,
        ConcatNode,
    )
}


def accumulator_bits(node: ConvNode, act_bits: int) -> int:
    """Accumulator width, in bits, that no activation codes of act_bits can overflow."""
    return int(accumulator_bound(node, act_bits).max()).bit_length() + 1


def accumulator_bound(node: ConvNode, act_bits: int) -> Integers:
    """Largest magnitude of the accumulator in each channel, int64 [C_out]."""
    magnitude = np.abs(node.weight.astype(np.int64)).sum((1, 2, 3))
    bound: Integers = np.abs(node.bias) + (magnitude << (act_bits - 1))
    return bound


@dataclass
class Graph:
    """A whole quantized network: nodes in execution order, the image first, the logits last.

    Parameters
    ----------
    network : str
        Name of the network.
    multiplier_bits : int
        Width of the requantization multipliers; 0: no multiplier, shifts only.
    rounding : str
        ``half_up``, ``half_even`` or ``floor``.
    provenance : dict
        Where the network comes from: command, seed, data, epochs, versions, accuracies.
    """

    network: str
    act_bits: int
    weight_bits: int
    multiplier_bits: int
    rounding: str
    classes: int
    nodes: list[Node]
    provenance: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise ModelError(
            f"network {self.network} has no layer {name!r}; it has "
            f"{', '.join(node.name for node in self.nodes)}."
        )

    def weighted(self) -> Iterator[ConvNode]:
        """The convolutions and dense layers, in execution order."""
        return (node for node in self.nodes if isinstance(node, ConvNode))

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(node.macs for node in self.nodes)

    @property
    def codes(self) -> tuple[int, int]:
        """Lowest and highest activation code."""
        return -(1 << self.act_bits - 1), (1 << self.act_bits - 1) - 1

    def accumulator_bits(self, node: ConvNode) -> int:
        """Accumulator width that this layer needs, in bits."""
        return accumulator_bits(node, self.act_bits)

    def validate(self) -> None:
        """Raises ModelError, in one sentence, where the graph breaks the contract."""
        _Validator(self).run()

    def save(self, path: Path) -> None:
        """Writes the graph to a .safetensors file, whole or not at all."""
        self.validate()
        tensors = {
            f"{node.name}.{name}": _narrow(getattr(node, name))
            for node in self.nodes
            for name in node.arrays
        }
        header = {
            "format": FORMAT_VERSION,
            "graph": {name: getattr(self, name) for name in _GRAPH_FIELDS},
            "nodes": [_node_json(node) for node in self.nodes],
            "provenance": self.provenance,
        }
        content = safetensors.numpy.save(
            tensors, {"holdfast": json.dumps(header, separators=(",", ":"))}
        )
        write_atomically(Path(path), content)

    @classmethod
    def load(cls, path: Path) -> "Graph":
        """Reads and validates a file written by :meth:`save`.

        Raises
        ------
        ModelError
            There is no such file, or it is truncated, foreign, of another version, or breaks the
            contract.
        """
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except FileNotFoundError:
            raise ModelError(f"no model file {path}.") from None
        except (OSError, safetensors.SafetensorError) as error:
            raise ModelError(f"{path} is no whole .safetensors file: {error}.") from error
        try:
            header = json.loads(metadata["holdfast"])
            version = header["format"]
        except (KeyError, ValueError, TypeError):
            raise ModelError(
                f"{path} is not a Holdfast model: it has no metadata of that name."
            ) from None
        if version != FORMAT_VERSION:
            raise ModelError(
                f"{path} has format version {version!r}; "
                f"this Holdfast reads version {FORMAT_VERSION}."
            )
        try:
            nodes = [_node(entry, tensors) for entry in header["nodes"]]
            graph = cls(
                **{name: header["graph"][name] for name in _GRAPH_FIELDS},
                nodes=nodes,
                provenance=header["provenance"],
            )
            graph.validate()
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{path} is malformed: {type(error).__name__} {error}.") from error
        return graph


_GRAPH_FIELDS = [f.name for f in dataclasses.fields(Graph) if f.name not in ("nodes", "provenance")]


def _narrow(array: NDArray[Any]) -> NDArray[Any]:
    """The array in the smallest integer type that holds it; safetensors needs C order."""
    low, high = int(array.min()), int(array.max())
    for kind in (np.int8, np.int16, np.uint16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return np.ascontiguousarray(array, kind)
    return np.ascontiguousarray(array, np.int64)


def _node_json(node: Node) -> dict[str, Any]:
    entry: dict[str, Any] = {"op": node.op}
    for f in dataclasses.fields(node):
        value = getattr(node, f.name)
        if f.name not in node.arrays and value != f.default:
            entry[f.name] = value
    return entry


def _node(entry: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Node:
    fields = dict(entry)
    op = fields.pop("op")
    if op not in _NODES:
        raise ModelError(
            f"layer {fields.get('name')!r} has the unsupported operation {op!r}; "
            f"supported are {', '.join(_NODES)}."
        )
    kind = _NODES[op]
    fields["inputs"] = tuple(fields.get("inputs", ()))
    fields["shape"] = tuple(fields["shape"])
    for name in kind.arrays:
        key = f"{fields['name']}.{name}"
        if key not in tensors:
            raise ModelError(f"array {key} is missing.")
        if tensors[key].dtype.kind not in "iu":
            raise ModelError(f"array {key} must hold integers, not {tensors[key].dtype}.")
        fields[name] = tensors[key].astype(np.int64)
    if "weight" in fields:
        if fields["weight"].size and np.abs(fields["weight"]).max() > 127:
            raise ModelError(f"weights of layer {fields['name']!r} must lie in -127..127.")
        fields["weight"] = fields["weight"].astype(np.int8)
    return kind(**fields)


class _Validator:
    """Walks a graph once and raises ModelError at the first breach."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.seen: dict[str, Node] = {}

    def run(self) -> None:
        graph = self.graph
        for name, low, high in (
            ("act_bits", 2, 8),
            ("weight_bits", 2, 8),
            ("multiplier_bits", 0, 31),
            ("classes", 1, 1 << 16),
        ):
            self.inside(name, getattr(graph, name), low, high)
        if graph.rounding not in ROUNDINGS:
            raise ModelError(
                f"rounding must be one of {', '.join(ROUNDINGS)}, not {graph.rounding!r}."
            )
        if not graph.nodes or not isinstance(graph.nodes[0], InputNode):
            raise ModelError("the first node of a graph must be its input.")
        for node in graph.nodes:
            self.node(node)
            self.seen[node.name] = node
        if graph.nodes[-1].shape != (graph.classes, 1, 1):
            raise ModelError(
                f"the last layer must have shape {(graph.classes, 1, 1)}, "
                f"not {graph.nodes[-1].shape}."
            )

    def node(self, node: Node) -> None:
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
            if name not in self.seen:
                raise ModelError(
                    f"layer {node.name!r} reads {name!r}, which no earlier layer makes."
                )
        if len(node.shape) != 3:
            raise ModelError(f"shape {where} must be (C, H, W), not {node.shape}.")
        for size in node.shape:
            self.inside(f"a side of the shape {where}", size, 1, 1 << 16)
        if not (isinstance(node.scale, float) and 0 < node.scale < math.inf):
            raise ModelError(f"scale {where} must be a positive number, not {node.scale!r}.")
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
            wide = max(self.graph.multiplier_bits, 8)
            self.inside(f"multiplier {where}", node.multiplier, 0, (1 << wide) - 1)
            self.inside(f"shift {where}", node.shift, 0, ACC_BITS_LIMIT + wide - 1)

    @staticmethod
    def inside(what: str, value: Any, low: int, high: int) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ModelError(f"{what} must be a whole number from {low} to {high}, not {value!r}.")

    @staticmethod
    def shape(node: Node, expected: tuple[int, ...]) -> None:
        if node.shape != expected:
            raise ModelError(f"layer {node.name!r} must have shape {expected}, not {node.shape}.")


def _window(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
