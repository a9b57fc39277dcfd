from itertools import combinations

from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.placement import lifetimes
from holdfast.nn.graph.graph import AddNode
from holdfast.nn.graph.shipped import load_network
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


def test_tensors_that_live_at_once_lie_apart():
    """Or one ends in the step that writes the other, which may then take its place."""
    program = compile_graph(load_network("resnet8"), AcceleratorConfig(rows=16, cols=16))
    spans = lifetimes(program.graph, program.steps)
    assert set(spans) == set(program.places)
    overlaid = 0
    for a, b in combinations(spans, 2):
        one, two = program.places[a], program.places[b]
        apart = one.bank != two.bank or not (
            one.base < two.base + two.size and two.base < one.base + one.size
        )
        begin, end = max(spans[a][0], spans[b][0]), min(spans[a][1], spans[b][1])
        assert apart or begin >= end, (a, b)
        overlaid += not apart
    assert overlaid
