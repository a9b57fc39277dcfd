"""Random small networks of every operation; their scales spread the outputs over the codes.

graph, codes = small_graph(config, seed)          # any mixture
graph, codes = small_graph(config, seed, ["depthwise", "max_pool"])
"""

import random

import numpy as np

from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.graph.graph import Graph
from tests.sim.graph_builder import Builder


def _channels(b: Builder) -> int:
    return b.random.randint(1, 2 * max(b.config.rows, b.config.cols) + 1)


def _size(b: Builder, source: str) -> int:
    return min(b.tensors[source].shape[1:])


def _conv(b: Builder, source: str) -> str:
    """Any kernel, stride, padding and dilation that fits the map."""
    kernel = b.random.choice([(1, 1), (3, 3), (5, 5), (1, 3), (3, 1)])
    dilation = b.random.choice([1, 1, 2])
    padding = b.random.randint(0, max(kernel) // 2 * dilation + 1)
    if _size(b, source) + 2 * padding < dilation * (max(kernel) - 1) + 1:
        kernel, dilation, padding = (1, 1), 1, 0
    return b.conv(source, _channels(b), kernel, b.random.choice([1, 2]), padding, dilation)


def _dilated(b: Builder, source: str) -> str:
    return b.conv(source, _channels(b), (3, 3), b.random.choice([1, 2]), 2, dilation=2)


def _offset(b: Builder, source: str) -> str:
    """Windows that begin inside the map, before or behind the padding."""
    side = _size(b, source)
    kernel = b.random.choice([1, 3]) if side > 2 else 1
    padding = b.random.randint(0, kernel // 2)
    offset = b.random.randint(0, min(2, side + 2 * padding - kernel))
    stride = b.random.choice([1, 2])
    return b.conv(source, _channels(b), (kernel, kernel), stride, padding, offset=offset)


def _halves(b: Builder, source: str) -> str:
    """Even and odd pixels to half of the channels each, added to a convolution."""
    half = b.random.randint(1, b.config.cols + 1)
    beside = b.conv(source, 2 * half, (3, 3), 2, 1)
    if b.tensors[source].shape[1] % 2 or b.tensors[source].shape[2] % 2:
        return beside
    even = b.conv(source, half, (1, 1), 2)
    joined = b.concat([even, b.conv(source, half, (1, 1), 2, like=even, offset=1)])
    return b.add(joined, beside)


def _rectified(b: Builder, source: str) -> str:
    """A ReLU standing alone, beside a reader of what it reads."""
    raw = b.conv(source, _channels(b), (1, 1))
    rectified = b.average(raw, 1, 1, rectify=True)
    return b.add(b.conv(rectified, b.tensors[raw].shape[0], (3, 3), 1, 1), raw)


def _depthwise(b: Builder, source: str) -> str:
    channels = b.tensors[source].shape[0]
    more = b.random.choice([1, 1, 2])
    return b.conv(source, channels * more, (3, 3), b.random.choice([1, 2]), 1, groups=channels)


def _grouped(b: Builder, source: str) -> str:
    groups = b.random.choice([2, 3])
    wide = b.conv(source, groups * b.random.randint(1, b.config.rows + 1), (1, 1))
    outputs = groups * b.random.randint(1, b.config.cols + 1)
    return b.conv(wide, outputs, (3, 3), 1, 1, groups=groups)


def _max_pool(b: Builder, source: str) -> str:
    kernel = b.random.choice([2, 3]) if _size(b, source) > 2 else 1
    return b.maximum(source, kernel, b.random.choice([1, 2]), b.random.randint(0, kernel // 2))


def _average_pool(b: Builder, source: str) -> str:
    kernel = b.random.choice([2, 3]) if _size(b, source) > 2 else 1
    return b.average(source, kernel, b.random.choice([1, 2]), b.random.randint(0, kernel // 2))


def _residual(b: Builder, source: str) -> str:
    """An add that follows a convolution, with the input of the block."""
    channels = b.tensors[source].shape[0]
    middle = b.conv(source, _channels(b), (1, 1))
    last = b.conv(middle, channels, (3, 3), 1, 1)
    return b.add(*b.random.sample([last, source], 2))


def _short_residual(b: Builder, source: str) -> str:
    """An add of a convolution and its own input, then of another and a shortcut of that input."""
    channels = b.tensors[source].shape[0]
    first = b.add(b.conv(source, channels, (3, 3), 1, 1), source)
    last = b.conv(first, channels + 1, (3, 3), 2, 1)
    return b.add(last, b.shortcut(first, 2, channels + 1))


def _joined_residual(b: Builder, source: str) -> str:
    """An add of a concatenation whose parts do not fill their words."""
    first = b.conv(source, 1, (1, 1))
    joined = b.concat([first, b.conv(source, b.random.randint(1, 3), (1, 1), like=first)])
    middle = b.conv(joined, _channels(b), (3, 3), 1, 1)
    return b.add(joined, b.conv(middle, b.tensors[joined].shape[0], (1, 1)))


def _projection(b: Builder, source: str) -> str:
    """An add of two convolutions, one of them with a stride."""
    channels, stride = _channels(b), b.random.choice([1, 2])
    middle = b.conv(source, _channels(b), (3, 3), stride, 1)
    beside = b.conv(source, channels, (1, 1), stride)
    return b.add(b.conv(middle, channels, (1, 1)), beside)


def _option_a(b: Builder, source: str) -> str:
    """An add with a shortcut that has fewer channels."""
    stride = b.random.choice([1, 2])
    channels = b.tensors[source].shape[0] + b.random.randint(0, 2 * b.config.cols + 1)
    middle = b.conv(source, _channels(b), (3, 3), stride, 1)
    last = b.conv(middle, channels, (3, 3), 1, 1)
    return b.add(*b.random.sample([last, b.shortcut(source, stride, channels)], 2))


def _standalone_add(b: Builder, source: str) -> str:
    pooled = b.maximum(source, 3, 1, 1) if _size(b, source) > 2 else b.maximum(source, 1, 1)
    return b.add(pooled, source)


def _standalone_shortcut(b: Builder, source: str) -> str:
    channels = b.tensors[source].shape[0] + b.random.randint(0, b.config.cols + 1)
    return b.shortcut(source, b.random.choice([1, 2]), channels)


def _concat(b: Builder, source: str) -> str:
    first = b.conv(source, _channels(b), (1, 1))
    second = b.conv(source, _channels(b), (3, 3), 1, 1, like=first)
    joined = b.concat([first, second])
    return b.conv(joined, _channels(b), (1, 1))


def _concat_depthwise(b: Builder, source: str) -> str:
    first = b.conv(source, b.random.randint(1, 4), (1, 1))
    second = b.conv(source, b.random.randint(1, 4), (1, 1), like=first)
    joined = b.concat([first, second, first])
    return b.conv(
        joined, b.tensors[joined].shape[0], (3, 3), 1, 1, groups=b.tensors[joined].shape[0]
    )


def _one_pixel(b: Builder, source: str) -> str:
    """Two layers of a single pixel; the rest of the network has one too."""
    return b.conv(b.dense(source, _channels(b)), _channels(b), (1, 1))


OPERATIONS = {
    "conv": _conv,
    "dilated": _dilated,
    "offset": _offset,
    "halves": _halves,
    "rectified": _rectified,
    "depthwise": _depthwise,
    "grouped": _grouped,
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "residual": _residual,
    "short_residual": _short_residual,
    "joined_residual": _joined_residual,
    "projection": _projection,
    "option_a": _option_a,
    "standalone_add": _standalone_add,
    "standalone_shortcut": _standalone_shortcut,
    "concat": _concat,
    "concat_depthwise": _concat_depthwise,
    "one_pixel": _one_pixel,
}


def small_graph(
    config: AcceleratorConfig,
    seed: int,
    operations: list[str] | None = None,
    shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
) -> tuple[Graph, np.ndarray]:
    """A valid network of some operations and a dense layer, and codes [C, H, W] of an image.

    ``one_pixel`` shrinks the map to one pixel, all after it works on that.
    """
    draw = random.Random(seed)
    if shape is None:
        shape = (draw.randint(1, 4), draw.randint(3, 8), draw.randint(3, 8))
    if operations is None:
        operations = draw.sample(sorted(OPERATIONS), 3)
    builder = Builder(config, seed, shape)
    tensor = "image"
    for operation in operations:
        tensor = OPERATIONS[operation](builder, tensor)
    classes = draw.randint(2, 5) if classes is None else classes
    builder.dense(tensor, classes)
    graph = Graph(
        network=f"small_{seed}",
        act_bits=config.act_bits,
        weight_bits=config.weight_bits,
        multiplier_bits=config.multiplier_bits,
        rounding=config.rounding,
        classes=classes,
        nodes=builder.nodes,
    )
    graph.validate()
    return graph, builder.codes
