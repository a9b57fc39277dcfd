"""Small networks by hand, and what the compiler says of those that it refuses."""

import numpy as np
import pytest

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.graph import ConvNode, DenseNode, Graph, InputNode, Node

CODES = {"scale": 0.1, "zero_point": 0, "lo": -128, "hi": 127}


def image(channels: int = 4, height: int = 8, width: int = 8) -> InputNode:
    return InputNode(name="image", shape=(channels, height, width), **CODES)


def conv(
    name: str, source: Node, channels: int = 4, kernel: int = 1, kind=ConvNode, **fields
) -> ConvNode:
    """A convolution with weights 1; by default of a pixel each."""
    size = source.shape[1:] if kind is DenseNode else (kernel, kernel)
    stride, padding = fields.get("stride", 1), fields.get("padding", 0)
    dilation = fields.get("dilation", 1)
    height, width = (
        (side - fields.get("offset", 0) + 2 * padding - dilation * (k - 1) - 1) // stride + 1
        for side, k in zip(source.shape[1:], size, strict=True)
    )
    arrays = {
        "weight": np.ones((channels, source.shape[0], *size), np.int8),
        "bias": np.zeros(channels, np.int64),
        "multiplier": np.full(channels, 1 << 15),
        "shift": np.full(channels, 20),
        "guard_lo": np.full(channels, -100),
        "guard_hi": np.full(channels, 100),
    }
    given = arrays | {"input_lo": -128, "input_hi": 127} | fields
    return kind(name=name, inputs=(source.name,), shape=(channels, height, width), **CODES, **given)


def graph(*nodes: Node, **fields) -> Graph:
    """The nodes and a dense layer."""
    nodes = (*nodes, conv("logits", nodes[-1], 3, kind=DenseNode))
    widths = {"act_bits": 8, "weight_bits": 8, "multiplier_bits": 16, "rounding": "half_up"}
    result = Graph(network="tiny", classes=3, nodes=list(nodes), **widths | fields)
    result.validate()
    return result


def refusal(given: Graph, **values) -> str:
    with pytest.raises(HoldfastError) as caught:
        compile_graph(given, AcceleratorConfig(**{"rows": 4, "cols": 4} | values))
    return str(caught.value)


def simple() -> Graph:
    pixels = image()
    return graph(pixels, conv("first", pixels, 8, 3, padding=1))
