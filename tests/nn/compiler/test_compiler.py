import pytest

from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from tests.nn.compiler.graphs import conv, graph, image, refusal, simple


def test_it_fits():
    program = compile_graph(simple(), AcceleratorConfig(rows=4, cols=4))
    assert [step.name for step in program.steps] == ["first", "logits"]


def test_program_memory_too_small():
    assert refusal(simple(), program_depth=1) == (
        "network tiny needs 2 descriptors of program memory, the accelerator has 1."
    )


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"stride": 8}, "stride must be 0 to 7, not 8"),
        ({"dilation": 8, "kernel": 2}, "dilation must be 0 to 7, not 8"),
        ({"kernel": 33}, "kernel_h must be 0 to 31, not 33"),
    ],
)
def test_geometry_beyond_the_hardware(fields, what):
    pixels = image(1, 33, 33)
    given = graph(pixels, conv("first", pixels, 4, **fields))
    # The image would be packed, and its kernel columns with it.
    sizes = {"rows": 1, "cols": 4}
    assert refusal(given, **sizes) == (
        f"layer first is beyond the hardware: descriptor field {what}."
    )


def test_a_network_of_1500_layers():
    """Deeper than Python's stack: it is placed, in two banks in turn."""
    nodes = [image(4, 2, 2)]
    for number in range(1500):
        nodes.append(conv(f"c{number}", nodes[-1]))
    given = graph(*nodes)
    assert refusal(given) == (
        "network tiny needs 1501 descriptors of program memory, the accelerator has 64."
    )
    program = compile_graph(given, AcceleratorConfig(), parts=True)
    assert len(program.steps) == len(program.descriptors) == 1501
    for step in program.steps:
        read, written = program.places[step.source], program.places[step.target]
        spans = {(p.bank, word) for p in (read, written) for word in range(p.base, p.base + p.size)}
        assert len(spans) == read.size + written.size
