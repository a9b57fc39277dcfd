import numpy as np

from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from tests.nn.compiler.graphs import conv, graph, image


def test_weights_and_parameters_of_tiles_that_are_not_full():
    """Three channels on two rows and two columns: words by output tile, input block and row."""
    pixels = image(3, 2, 2)
    weight = np.arange(11, 20, dtype=np.int8).reshape(3, 3, 1, 1)
    fields = {"bias": np.array([5, -6, 7]), "guard_lo": np.array([-1, -2, -3])}
    first = conv("first", pixels, 3, weight=weight, **fields)
    (chunk,) = compile_graph(graph(pixels, first), AcceleratorConfig(rows=2, cols=2)).chunks
    assert chunk.weights[:8].tolist() == [
        [11, 14], [12, 15], [13, 16], [0, 0], [17, 0], [18, 0], [19, 0], [0, 0],
    ]  # fmt: skip
    scale = 1 << 15 | 20 << 24
    assert chunk.parameters[:4].tolist() == [
        [5, scale, 0xFFFF | 100 << 16, 0],
        [(1 << 32) - 6, scale, 0xFFFE | 100 << 16, 0],
        [7, scale, 0xFFFD | 100 << 16, 0],
        [0, 0, 0x8000 | 0x7FFF << 16, 0],
    ]
