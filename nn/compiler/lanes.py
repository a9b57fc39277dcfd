"""Lays the channels of a tensor out in the lanes of activation words."""

from dataclasses import dataclass

from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.graph.graph import ConcatNode, ConvNode, Graph

from .program import Step


@dataclass(frozen=True)
class PackedImage:
    """Describes an image whose lanes hold several kernel columns: lane k * C + c has column k of
    channel c.

    Attributes
    ----------
    columns, padding : int
        Kernel columns, and padding of the convolution that reads them.
    lanes : tuple of int
        Channel ``k * C + c`` in each lane; -1 where a lane holds the zero point.
    """

    columns: int
    padding: int
    lanes: tuple[int, ...]


def pixel_words(config: AcceleratorConfig, channels: int) -> int:
    """Returns the words of a pixel; its last output tile is written whole."""
    return -(-(-(-channels // config.cols) * config.cols) // config.word_lanes)


def tensor_lanes(graph: Graph, config: AcceleratorConfig, name: str) -> tuple[int, ...]:
    """Returns the channel in each lane of a pixel, -1 where there is none.

    The parts of a concatenation begin at words of their own.
    """
    node = graph[name]
    parts = node.inputs if isinstance(node, ConcatNode) else (name,)
    placed: list[int] = []
    first = 0
    for channels in (graph[part].shape[0] for part in parts):
        placed += range(first, first + channels)
        placed += [-1] * (pixel_words(config, channels) * config.word_lanes - channels)
        first += channels
    return tuple(placed)


def part_words(graph: Graph, config: AcceleratorConfig, step: Step) -> slice:
    """Returns the words of a pixel of its target that a step writes, part of a concatenation."""
    node = graph[step.target]
    parts = node.inputs if isinstance(node, ConcatNode) else (step.target,)
    words = [pixel_words(config, graph[part].shape[0]) for part in parts]
    return slice(sum(words[: step.operand]), sum(words[: step.operand + 1]))


def is_straight(graph: Graph, config: AcceleratorConfig, name: str) -> bool:
    """Returns whether the channels lie in consecutive lanes, as those of a residual must."""
    lanes = tensor_lanes(graph, config, name)
    used = tuple(lane for lane in lanes if lane >= 0)
    return lanes[: len(used)] == used


def pack_image(graph: Graph, config: AcceleratorConfig) -> PackedImage | None:
    """Packs kernel columns into the channels of the image, if that saves reduction tiles."""
    image = graph.nodes[0]
    users = [node for node in graph.nodes if image.name in node.inputs]
    if len(users) != 1 or not isinstance(users[0], ConvNode):
        return None
    conv, rows = users[0], config.rows
    columns = conv.weight.shape[3]
    channels = image.shape[0] * columns
    blocks, packed_blocks = columns * -(-image.shape[0] // rows), -(-channels // rows)
    guarded = conv.input_lo <= image.zero_point <= conv.input_hi
    if packed_blocks >= blocks or conv.dilation != 1 or conv.groups != 1 or not guarded:
        return None
    # The packed image is as wide as the image; windows beyond it would read padding alone.
    last = conv.offset + conv.stride * (conv.shape[2] - 1)
    if last >= image.shape[2] or conv.op == "dense":
        return None
    lanes = tuple(range(channels)) + (-1,) * (-channels % config.word_lanes)
    return PackedImage(columns, conv.padding, lanes)
