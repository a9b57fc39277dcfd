import pytest

from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from tests.nn.compiler.graphs import conv, graph, image


@pytest.mark.parametrize(
    ("padding", "offset", "packed"), [(0, 0, 3), (1, 0, 3), (1, 2, 3), (2, 0, 1), (1, 3, 3)]
)
def test_image_is_packed_only_where_windows_begin_inside(padding, offset, packed):
    """Beyond the image every lane reads padding, also those of kernel columns within it."""
    pixels = image(2, 8, 8)
    layer = conv("first", pixels, 4, 3, padding=padding, offset=offset)
    assert compile_graph(graph(pixels, layer), AcceleratorConfig(rows=8, cols=4)).packed == packed
