"""Says what the compiler makes of a network: steps, chunks of constants, and places of tensors.

A step is one layer as the hardware runs it: a convolution or dense layer with the residual add
that follows it, a pooling, or a copy; it takes one descriptor, or several where a layer has to be
cut (see ``Step``).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import Descriptor
from holdfast.nn.graph.graph import ConcatNode, Graph


@dataclass(frozen=True)
class Place:
    """Says where a tensor lies: pixel p begins at word ``base + p * words`` of a bank.

    Attributes
    ----------
    lanes : tuple of int
        Channel in each lane of a pixel's words; -1 where a lane holds the zero point.
    """

    bank: int
    base: int
    words: int
    height: int
    width: int
    lanes: tuple[int, ...]

    @property
    def size(self) -> int:
        """Returns words of the bank."""
        return self.height * self.width * self.words

    @property
    def channels(self) -> int:
        """Channels of the tensor."""
        return sum(channel >= 0 for channel in self.lanes)


@dataclass(frozen=True)
class Step:
    """Describes one layer as the hardware runs it.

    Attributes
    ----------
    name : str
        Node whose tensor is written; with the number of the part, where that is a concatenation.
    nodes : tuple of str
        Graph nodes that the step computes.
    source, residual : str
        Nodes whose tensors it reads; ``residual`` may be empty.
    reads : tuple of str
        The stored tensors behind them.
    target : str
        The stored tensor that it writes; a concatenation is written by several steps.
    macs : int
        Multiply-accumulates of the network that it does; 0 for pooling and copies.
    operand : int
        Which input of a concatenation it copies; otherwise 0.
    first : int
        Number of its first descriptor.
    descriptors : tuple of Descriptor
        One, or one per band of output rows that the accumulators hold, and per group of output
        tiles whose input channels are regularly spaced.
    """

    name: str
    nodes: tuple[str, ...]
    source: str
    residual: str
    reads: tuple[str, ...]
    target: str
    macs: int = 0
    operand: int = 0
    first: int = 0
    descriptors: tuple[Descriptor, ...] = ()

    @property
    def count(self) -> int:
        """Returns the number of its descriptors."""
        return len(self.descriptors)


@dataclass(frozen=True)
class Chunk:
    """Weights and parameters of consecutive descriptors, and where they have to lie.

    Attributes
    ----------
    first, count : int
        The descriptors that need them.
    weight_base, weights
        Word address, and int8 [words, cols].
    param_base, parameters
        Channel address, and uint32 [channels, 4].
    """

    first: int
    count: int
    weight_base: int
    weights: NDArray[np.int8]
    param_base: int
    parameters: NDArray[np.uint32]


@dataclass(frozen=True)
class Program:
    """Holds a network as one accelerator runs it.

    Attributes
    ----------
    descriptors : uint32 [n, words]
    chunks : tuple of Chunk
        One where everything fits on chip. Otherwise they take turns in the two halves of the
        memories: the host writes one while the array works with the other.
    places : dict
        Place of every stored tensor, by node name.
    packed : int
        Kernel columns packed into the channels of the input image; 1: none.
    """

    config: AcceleratorConfig
    graph: Graph
    steps: tuple[Step, ...]
    descriptors: NDArray[np.uint32]
    chunks: tuple[Chunk, ...]
    places: dict[str, Place]
    packed: int = 1
    packed_padding: int = 0

    @property
    def resident(self) -> bool:
        """Tells whether all weights are on chip at once."""
        return len(self.chunks) == 1

    @property
    def parts(self) -> list[tuple[int, int]]:
        """First descriptor and number of descriptors of each part that is started on its own; one
        part where the program memory holds all.
        """
        total, depth = len(self.descriptors), self.config.program_depth
        return [(first, min(depth, total - first)) for first in range(0, total, depth)]

    def channels(self, step: Step) -> slice:
        """Channels of its target that a step writes: all, but in a concatenation."""
        node = self.graph[step.target]
        if not isinstance(node, ConcatNode):
            return slice(0, node.shape[0])
        sizes = [self.graph[name].shape[0] for name in node.inputs]
        return slice(sum(sizes[: step.operand]), sum(sizes[: step.operand + 1]))

    def input_words(self, codes: NDArray[np.integer]) -> NDArray[np.int8]:
        """Returns the image as it lies in memory: int8 [words, lanes] from codes [C, H, W]."""
        if self.packed == 1:
            return self.tensor_words(self.graph.nodes[0].name, codes)
        zero = self.graph.nodes[0].zero_point
        pad = self.packed_padding
        beside = ((0, 0), (0, 0), (pad, self.packed))
        padded = np.pad(codes, beside, constant_values=zero)
        width = codes.shape[2]
        shifted = [padded[:, :, column : column + width] for column in range(self.packed)]
        return self.tensor_words(self.graph.nodes[0].name, np.concatenate(shifted))

    def tensor_words(self, name: str, codes: NDArray[np.integer]) -> NDArray[np.int8]:
        """Returns a tensor [C, H, W] as it lies in memory: int8 [words, lanes]."""
        place = self.places[name]
        zero = self.graph[name].zero_point
        channels = np.array(place.lanes)
        flat = codes.reshape(codes.shape[0], -1).T
        words = np.where(channels >= 0, flat[:, channels], zero).astype(np.int8)
        return words.reshape(place.size, -1)

    def tensor_codes(self, name: str, words: NDArray[np.integer]) -> NDArray[np.int8]:
        """Returns a tensor [C, H, W] from the words of its place, int8 [words, lanes]."""
        place = self.places[name]
        pixels = words.reshape(place.height * place.width, -1)
        lanes = {channel: lane for lane, channel in enumerate(place.lanes) if channel >= 0}
        order = [lanes[channel] for channel in range(len(lanes))]
        return pixels[:, order].T.reshape(-1, place.height, place.width).astype(np.int8)
