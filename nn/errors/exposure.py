"""Says how much of each layer there is to hit in the hardware, from the shapes of a network alone.

    layers = graph_work(graph)                      # or network_work(spec)
    share = exposures(layers, array)["weight"]      # per layer, of the structure's bits x cycles

The share is, up to a factor that belongs to the structure, that of the structure's bits times the
inference's cycles in which an upset meets the layer's data: registers in the cycles of the layer,
as far as its channels fill rows and columns; words of memories from the start to their last read.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.weight_stationary import StationaryLatencies
from holdfast.nn.graph.graph import Graph
from holdfast.nn.networks.spec import Network, Shape
from holdfast.nn.operators.node import FanIn, Node
from holdfast.nn.operators.registry import operator

KINDS = ("conv", "dense", "avgpool", "maxpool")
"""Layers that the array computes."""
STRUCTURES = ("pe_activation", "weight", "partial_sum", "skew", "accumulators", "requantizer",
              "weight_memory", "parameter_memory")  # fmt: skip
"""Structures whose upsets meet data; of `fault.model.space`."""
_OVERHEAD = 45
"""Cycles between layers: the descriptor is fetched, the pipeline fills and runs empty."""


@dataclass(frozen=True)
class ArrayShape:
    """Holds what a configuration says about time: rows and columns of the array, pixels that the
    accumulators hold.
    """

    rows: int
    cols: int
    acc_depth: int

    @classmethod
    def of(cls, config: AcceleratorConfig) -> "ArrayShape":
        """Makes it for an accelerator."""
        return cls(config.rows, config.cols, config.acc_depth)


@dataclass(frozen=True)
class LayerWork:
    """Holds what the array does for one layer.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    shape : (int, int, int)
        C, H, W of the output.
    inputs : int
        Input channels that one output channel reads.
    kernel : (int, int)
        Height and width.
    image : bool
        Reads the image, whose kernel columns may lie side by side in the array's rows.
    """

    name: str
    kind: str
    shape: tuple[int, int, int]
    inputs: int
    kernel: tuple[int, int]
    image: bool = False

    @property
    def pixels(self) -> int:
        return self.shape[1] * self.shape[2]

    @property
    def has_weights(self) -> bool:
        return self.kind in ("conv", "dense")

    def weights(self, array: ArrayShape) -> int:
        """Returns words of weights that the layer reads and that matter."""
        if self.has_weights:
            return self.shape[0] * self.inputs * math.prod(self.kernel)
        return self.tiles(array) * array.rows * array.cols

    def tiles(self, array: ArrayShape) -> int:
        """Returns output tiles."""
        return -(-self.shape[0] // array.cols)

    def reductions(self, array: ArrayShape) -> int:
        """Returns tiles of weights for each output tile."""
        height, width = self.kernel
        least = height * width * -(-self.inputs // array.rows)
        if self.image:
            least = min(least, height * -(-self.inputs * width // array.rows))
        return least

    def cycles(self, array: ArrayShape) -> int:
        """Cycles, without those that all layers have in common."""
        latencies = StationaryLatencies(array.rows, array.cols)
        # One-hot weights stay in the array.
        interval = latencies.interval(self.has_weights, self.pixels == 1)
        tiles = self.tiles(array)
        return tiles * (self.reductions(array) * max(self.pixels, interval) + latencies.gap)


def graph_work(graph: Graph) -> list[LayerWork]:
    """Returns the work of a graph, in execution order; additions cost nothing of their own."""
    image = graph.nodes[0].name
    return [
        _work(node.name, node, node.shape, node.fan_in, image in node.inputs)
        for node in graph.nodes
        if node.kind
    ]


def network_work(spec: Network) -> list[LayerWork]:
    """Work of a network that has yet to be quantized, in execution order."""
    shapes = spec.shapes()
    found = []
    for layer in spec.layers:
        known = operator(layer)
        if known.kind:
            fan_in = known.layer_fan_in(layer, shapes[layer.inputs[0]])
            first = "image" in layer.inputs
            found.append(_work(layer.name, known, shapes[layer.name], fan_in, first))
    return found


def _work(
    name: str, known: Node | type[Node], shape: Shape, fan_in: FanIn, first: bool
) -> LayerWork:
    inputs, height, width = fan_in
    return LayerWork(name, known.kind, shape, inputs, (height, width), known.weighted and first)


def exposures(layers: Sequence[LayerWork], array: ArrayShape) -> dict[str, NDArray[np.float64]]:
    """Returns the exposure of every structure, float64 [layer]."""
    times = np.array([layer.cycles(array) + _OVERHEAD for layer in layers], float)
    ends = times.cumsum()
    total = ends[-1]
    result = {name: np.zeros(len(layers)) for name in STRUCTURES}
    for at, layer in enumerate(layers):
        tiles, reductions = layer.tiles(array), layer.reductions(array)
        cols = layer.shape[0] / (tiles * array.cols)
        rows = 1.0
        if layer.has_weights:
            rows = layer.inputs * math.prod(layer.kernel) / (reductions * array.rows)
        stream = tiles * reductions * layer.pixels
        begin, during = ends[at] - times[at], times[at]
        held = min(layer.pixels, array.acc_depth) / array.acc_depth
        for name, value in (
            ("pe_activation", stream * rows * cols),
            ("weight", layer.cycles(array) * rows * cols),
            ("partial_sum", stream * cols),
            ("skew", stream * rows),
            ("accumulators", stream * cols * held * (reductions - 1) / reductions),
            ("requantizer", tiles * layer.pixels * cols),
            ("weight_memory", layer.weights(array) * (begin + during / 2)),
            ("parameter_memory", layer.shape[0] * (begin + during * (tiles + 1) / (2 * tiles))),
        ):
            result[name][at] = value / total
    return result
