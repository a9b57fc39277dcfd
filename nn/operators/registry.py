"""The operations by name."""

from .add import AddNode
from .avgpool import AvgPoolNode
from .checks import ModelError
from .concat import ConcatNode
from .conv import ConvNode
from .dense import DenseNode
from .input import InputNode
from .layer import LayerSpec
from .maxpool import MaxPoolNode
from .node import Node
from .shortcut import ShortcutNode

OPERATORS: dict[str, type[Node]] = {
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


def operator(layer: LayerSpec) -> type[Node]:
    """Returns the operation of a layer.

    Raises
    ------
    ModelError
        There is none of that name.
    """
    if layer.op not in OPERATORS:
        raise ModelError(f"layer {layer.name!r} has the unsupported operation {layer.op!r}.")
    return OPERATORS[layer.op]
