from holdfast.nn.graph.graph import (
    AddNode,
)
from tests.nn.compiler.graphs import CODES, conv, graph, image, refusal, simple


def test_activation_memory_too_small():
    # 64 pixels of 8 channels, 4 to a word.
    assert refusal(simple(), act_depth=127) == (
        "tensor first needs 128 words of one activation bank, the accelerator has 127."
    )


def test_banks_too_small_together():
    pixels = image()
    first = conv("first", pixels)
    second = conv("second", first)
    third = conv("third", second)
    add = AddNode(
        name="add", inputs=("third", "first"), shape=(4, 8, 8), multiplier_a=1, multiplier_b=1,
        shift=1, **CODES,
    )  # fmt: skip
    last = AddNode(
        name="last", inputs=("add", "image"), shape=(4, 8, 8), multiplier_a=1, multiplier_b=1,
        shift=1, **CODES,
    )  # fmt: skip
    assert refusal(graph(pixels, first, second, third, add, last), act_depth=64) == (
        "the activations of network tiny do not fit 2 banks of 64 words, "
        "with a residual in another bank than its layer's input."
    )
