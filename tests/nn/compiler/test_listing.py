import pytest

from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.listing import listing
from holdfast.nn.graph.shipped import load_network


@pytest.fixture(scope="module")
def program():
    return compile_graph(load_network("resnet8"), AcceleratorConfig(rows=16, cols=16))


def test_lines(program):
    lines = list(listing(program))
    assert lines[0] == (
        "resnet8 on 16x16_a8w8_guard: 11 steps, 11 of 64 descriptors, 4944 weight words and "
        "416 parameter channels on chip (18432 and 1024)"
    )
    assert lines[1] == "The image's lanes hold 3 kernel columns of its channels."
    steps = lines[4:15]
    assert [line.split()[0] for line in steps] == [str(number) for number in range(11)]
    # 32x32 pixels, one tile of 16 channels, three kernel rows of 9 packed channels.
    assert steps[0].split()[2:] == [
        "stem", "conv", "3x3", "stride", "1", "padding", "1", "0:0-1023", "0:1024-2047", "32x32",
        "1", "3", "0-47", "0-15", "0",
    ]  # fmt: skip
    assert "conv 3x3 stride 1 padding 1 + add" in steps[2]


def test_streamed_weights():
    config = AcceleratorConfig(rows=16, cols=16, weight_depth=4096)
    lines = list(listing(compile_graph(load_network("resnet8"), config)))
    # Halves of 2048 words: 1232 of six steps, 1152 of one, 3 of 4 tiles of 576 of one, the rest.
    assert "streamed in 4 chunks" in lines[0]
    head = next(index for index, line in enumerate(lines) if line.startswith("chunk"))
    rows = [line.split(maxsplit=4) for line in lines[head + 1 :]]
    assert [row[4] for row in rows[:2]] == ["before the start"] * 2
    assert rows[2][4] == f"descriptor {rows[1][1].split('-')[0]} is under way"
