"""The integer graph: a quantized network as the hardware computes it, and its file."""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from holdfast.base.errors import HoldfastError
from holdfast.base.files import parse_json, read_bytes, write_atomically
from holdfast.base.text import printable, shown
from holdfast.nn.operators.add import AddNode
from holdfast.nn.operators.avgpool import AvgPoolNode
from holdfast.nn.operators.checks import ACC_BITS_LIMIT, SIDE_LIMIT, ModelError
from holdfast.nn.operators.concat import ConcatNode
from holdfast.nn.operators.conv import ConvNode, accumulator_bits, accumulator_bound
from holdfast.nn.operators.dense import DenseNode
from holdfast.nn.operators.input import InputNode
from holdfast.nn.operators.maxpool import MaxPoolNode
from holdfast.nn.operators.node import Node
from holdfast.nn.operators.registry import OPERATORS
from holdfast.nn.operators.shortcut import ShortcutNode

from .contract import NODES_LIMIT, Validator, check_name

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
# Many times the networks of the zoo; what is read takes a few times its size.
_FILE_LIMIT = 1 << 27
_HEADER_LIMIT = 1 << 23
_KINDS = {
    "I8": np.int8,
    "U8": np.uint8,
    "I16": np.int16,
    "U16": np.uint16,
    "I32": np.int32,
    "U32": np.uint32,
    "I64": np.int64,
}


_NARROW = (np.int8, np.int16, np.uint16, np.int32)


@dataclass
class Graph:
    """Holds a whole quantized network: nodes in execution order, the image first, the logits last.

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
        known = printable(", ".join(node.name for node in self.nodes), 300)
        raise ModelError(f"network {self.network} has no layer {shown(name)}; it has {known}.")

    def weighted(self) -> Iterator[ConvNode]:
        """Returns the convolutions and dense layers, in execution order."""
        return (node for node in self.nodes if isinstance(node, ConvNode))

    @property
    def macs(self) -> int:
        """Returns multiply-accumulates of one inference."""
        return sum(node.macs for node in self.nodes)

    @property
    def codes(self) -> tuple[int, int]:
        """Returns the lowest and highest activation code."""
        return -(1 << self.act_bits - 1), (1 << self.act_bits - 1) - 1

    def accumulator_bits(self, node: ConvNode) -> int:
        """Returns the accumulator width that this layer needs, in bits."""
        return accumulator_bits(node, self.act_bits)

    def validate(self) -> None:
        """Raises ModelError, in one sentence, where the graph breaks the contract."""
        Validator(self).run()

    def save(self, path: Path) -> None:
        """Writes the graph to a .safetensors file, whole or not at all."""
        self.validate()
        tensors = {
            f"{node.name}.{name}": narrowed(getattr(node, name), *_NARROW)
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
            There is no such file, it is too large, truncated, foreign, of another version, or
            breaks the contract.
        """
        where = printable(path, 200)
        try:
            header, tensors = _read(Path(path), where)
        except HoldfastError as error:
            raise ModelError(str(error)) from None
        version = header.get("format")
        if version != FORMAT_VERSION:
            raise ModelError(
                f"{where} has format version {shown(version)}; "
                f"this Holdfast reads version {FORMAT_VERSION}."
            )
        try:
            facts = _part(header, "graph", dict, "an object")
            entries = _part(header, "nodes", list, "a list")
            if len(entries) > NODES_LIMIT:
                raise ModelError(
                    f"a graph has at most {NODES_LIMIT} layers, this one {len(entries)}."
                )
            for name in _GRAPH_FIELDS:
                if name not in facts:
                    raise ModelError(f"{name} is missing.")
            graph = cls(
                **{name: facts[name] for name in _GRAPH_FIELDS},
                nodes=[_node(entry, tensors) for entry in entries],
                provenance=_part(header, "provenance", dict, "an object"),
            )
            if tensors:
                raise ModelError(f"array {shown(min(tensors))} belongs to no layer.")
            graph.validate()
        except ModelError as error:
            raise ModelError(f"{where}: {error}") from None
        return graph


_GRAPH_FIELDS = [f.name for f in dataclasses.fields(Graph) if f.name not in ("nodes", "provenance")]


def narrowed(array: NDArray[Any], *kinds: type[np.integer]) -> NDArray[Any]:
    """Returns integers in the first type that holds them, others as they are, in C order."""
    for kind in kinds if array.dtype.kind in "iu" else ():
        if not array.size or (
            np.iinfo(kind).min <= array.min() and array.max() <= np.iinfo(kind).max
        ):
            return np.ascontiguousarray(array, kind)
    return np.ascontiguousarray(array)


def _node_json(node: Node) -> dict[str, Any]:
    entry: dict[str, Any] = {"op": node.op}
    for f in dataclasses.fields(node):
        value = getattr(node, f.name)
        if f.name not in node.arrays and value != f.default:
            entry[f.name] = value
    return entry


def _read(path: Path, where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header of a model file, and by name its arrays as safetensors gives them."""
    data = read_bytes(path, "model file", _FILE_LIMIT)
    size = int.from_bytes(data[:8], "little")
    if size > _HEADER_LIMIT:
        raise ModelError(
            f"{where} has a header of {size:,} bytes, at most {_HEADER_LIMIT:,} are read."
        )
    try:
        tensors = dict(safetensors.deserialize(data))
    except safetensors.SafetensorError as error:
        raise ModelError(
            f"{where} is no whole .safetensors file: {printable(error, 150)}."
        ) from None
    metadata = parse_json(data[8 : 8 + size], f"the header of {where}").get("__metadata__")
    if not isinstance(metadata, dict) or "holdfast" not in metadata:
        raise ModelError(f"{where} is not a Holdfast model: it has no metadata of that name.")
    return parse_json(metadata["holdfast"], f"the metadata of {where}"), tensors


def _part(header: Mapping[str, Any], name: str, kind: type, wanted: str) -> Any:
    value = header.get(name)
    if not isinstance(value, kind):
        raise ModelError(f"its {name} must be {wanted}, not {shown(value)}.")
    return value


def _node(entry: Any, tensors: dict[str, Any]) -> Node:
    """A node from its JSON; its arrays are taken out of ``tensors``."""
    if not isinstance(entry, dict):
        raise ModelError(f"a layer must be an object, not {shown(entry)}.")
    fields = dict(entry)
    op, name = fields.pop("op", None), fields.get("name")
    check_name("the name of a layer", name)
    kind = OPERATORS.get(op) if isinstance(op, str) else None
    if kind is None:
        raise ModelError(
            f"layer {name!r} has the unsupported operation {shown(op)}; "
            f"supported are {', '.join(OPERATORS)}."
        )
    known = [f for f in dataclasses.fields(kind) if f.name not in kind.arrays]
    for key in fields:
        if key not in [f.name for f in known]:
            raise ModelError(f"layer {name!r} has an unknown field {shown(key)}.")
    for f in known:
        if f.name not in fields and f.default is dataclasses.MISSING:
            raise ModelError(f"layer {name!r} has no {f.name}.")
    for key in ("inputs", "shape"):
        value = fields.get(key, [])
        if not isinstance(value, list):
            raise ModelError(f"{key} of layer {name!r} must be a list, not {shown(value)}.")
        fields[key] = tuple(value)
    for array in kind.arrays:
        found = tensors.pop(f"{name}.{array}", None)
        if found is None:
            raise ModelError(f"array {name}.{array} is missing.")
        fields[array] = _array(f"{name}.{array}", found, array == "weight")
    return kind(**fields)


def _array(name: str, found: Mapping[str, Any], is_weight: bool) -> NDArray[Any]:
    """Weights as int8, or numbers by output channel as int64."""
    kind = _KINDS.get(found["dtype"])
    if kind is None:
        raise ModelError(f"array {name} must hold integers, not {shown(found['dtype'])}.")
    shape = found["shape"]
    if len(shape) != (4 if is_weight else 1) or not 1 <= math.prod(shape):
        wanted = "4 sides" if is_weight else "1 side"
        raise ModelError(f"array {name} must have {wanted} and not be empty, not {shown(shape)}.")
    if not is_weight and shape[0] > SIDE_LIMIT:
        raise ModelError(f"array {name} must have at most {SIDE_LIMIT} entries, not {shape[0]}.")
    array = np.frombuffer(found["data"], kind).reshape(shape)
    if not is_weight:
        return array.astype(np.int64)
    if array.min() < -127 or array.max() > 127:
        raise ModelError(f"weights of layer {name.rpartition('.')[0]!r} must lie in -127..127.")
    return array.astype(np.int8)
