"""What the lowering refuses, in one sentence with the layer, the need and what there is."""

import numpy as np
import pytest

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.graph import (
    AddNode,
    AvgPoolNode,
    ConvNode,
    DenseNode,
    Graph,
    InputNode,
    MaxPoolNode,
    Node,
)

CODES = {"scale": 0.1, "zero_point": 0, "lo": -128, "hi": 127}


def image(channels: int = 4, height: int = 8, width: int = 8) -> InputNode:
    return InputNode(name="image", shape=(channels, height, width), **CODES)


def conv(
    name: str, source: Node, channels: int = 4, kernel: int = 1, kind=ConvNode, **fields
) -> ConvNode:
    """A convolution with weights 1; by default of a pixel each."""
    size = source.shape[1:] if kind is DenseNode else (kernel, kernel)
    stride, padding = fields.get("stride", 1), fields.get("padding", 0)
    dilation = fields.get("dilation", 1)
    height, width = (
        (side - fields.get("offset", 0) + 2 * padding - dilation * (k - 1) - 1) // stride + 1
        for side, k in zip(source.shape[1:], size, strict=True)
    )
    arrays = {
        "weight": np.ones((channels, source.shape[0], *size), np.int8),
        "bias": np.zeros(channels, np.int64),
        "multiplier": np.full(channels, 1 << 15),
        "shift": np.full(channels, 20),
        "guard_lo": np.full(channels, -100),
        "guard_hi": np.full(channels, 100),
    }
    given = arrays | {"input_lo": -128, "input_hi": 127} | fields
    return kind(name=name, inputs=(source.name,), shape=(channels, height, width), **CODES, **given)


def graph(*nodes: Node, **fields) -> Graph:
    """The nodes and a dense layer."""
    nodes = (*nodes, conv("logits", nodes[-1], 3, kind=DenseNode))
    widths = {"act_bits": 8, "weight_bits": 8, "multiplier_bits": 16, "rounding": "half_up"}
    result = Graph(network="tiny", classes=3, nodes=list(nodes), **widths | fields)
    result.validate()
    return result


def refusal(given: Graph, **values) -> str:
    with pytest.raises(HoldfastError) as caught:
        compile_graph(given, AcceleratorConfig(**{"rows": 4, "cols": 4} | values))
    return str(caught.value)


def simple() -> Graph:
    pixels = image()
    return graph(pixels, conv("first", pixels, 8, 3, padding=1))


@pytest.mark.parametrize(
    ("padding", "offset", "packed"), [(0, 0, 3), (1, 0, 3), (1, 2, 3), (2, 0, 1), (1, 3, 3)]
)
def test_image_is_packed_only_where_windows_begin_inside(padding, offset, packed):
    """Beyond the image every lane reads padding, also those of kernel columns within it."""
    pixels = image(2, 8, 8)
    layer = conv("first", pixels, 4, 3, padding=padding, offset=offset)
    assert compile_graph(graph(pixels, layer), AcceleratorConfig(rows=8, cols=4)).packed == packed


def test_it_fits():
    program = compile_graph(simple(), AcceleratorConfig(rows=4, cols=4))
    assert [step.name for step in program.steps] == ["first", "logits"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("act_bits", 7), ("weight_bits", 4), ("multiplier_bits", 8), ("rounding", "floor")],
)
def test_widths(name, value):
    have = getattr(simple(), name)
    assert refusal(simple(), **{name: value}) == (
        f"network tiny has {name} {have}, the accelerator has {value}."
    )


def test_accumulator_too_narrow():
    # 36 products of at most 128 fit 14 bits; 512 need 17 + 1.
    assert refusal(simple(), acc_bits=17) == (
        "layer logits needs acc_bits of at least 18, the accelerator has 17."
    )


def test_pooling_overflows_the_accumulator():
    pixels = image(4, 24, 24)
    pool = AvgPoolNode(
        name="pool", inputs=("image",), shape=(4, 1, 1), kernel=24, stride=1, multiplier=1,
        shift=9, **CODES,
    )  # fmt: skip
    # 576 codes of at most 128: 73,728.
    assert refusal(graph(pixels, pool), acc_bits=17) == (
        "layer pool needs acc_bits of at least 18, the accelerator has 17."
    )


def test_shift_too_large():
    pixels = image()
    first = conv("first", pixels)
    first.shift[2] = 40
    assert refusal(graph(pixels, first), acc_bits=24) == (
        "layer first shifts by 40, the accelerator by at most 39 (acc_bits + multiplier_bits - 1)."
    )


def test_shift_of_an_add_too_large():
    pixels = image()
    first = conv("first", pixels)
    add = AddNode(
        name="add", inputs=("first", "image"), shape=(4, 8, 8), multiplier_a=1, multiplier_b=1,
        shift=32, **CODES,
    )  # fmt: skip
    assert refusal(graph(pixels, first, add)) == (
        "residual add add shifts by 32, the accelerator by at most 31."
    )


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


def test_weight_memory_too_small():
    # A tile of the dense layer: 64 positions of 2 blocks of 4 rows. What does not fit whole (584
    # words) has half of the memory.
    assert refusal(simple(), weight_depth=580) == (
        "layer logits needs 512 words of weight memory, the accelerator has 290."
    )
    assert refusal(simple(), weight_depth=511) == (
        "layer logits needs 512 words of weight memory, the accelerator has 511."
    )


def test_parameter_memory_too_small():
    assert refusal(simple(), param_depth=7) == (
        "layer first needs 4 channels of parameter memory, the accelerator has 3."
    )


def test_program_memory_too_small():
    assert refusal(simple(), program_depth=1) == (
        "network tiny needs 2 descriptors of program memory, the accelerator has 1."
    )


def test_rows_wider_than_the_accumulators():
    assert refusal(simple(), acc_depth=7) == (
        "layer first has rows of 8 pixels, the accumulators hold 7."
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


def test_pooling_without_multiplier():
    pixels = image()
    pool = AvgPoolNode(
        name="pool", inputs=("image",), shape=(4, 4, 4), kernel=2, stride=2, multiplier=3,
        shift=4, **CODES,
    )  # fmt: skip
    given = graph(pixels, pool)
    given.multiplier_bits = 0
    given["logits"].multiplier[:] = 1
    assert refusal(given, multiplier_bits=0) == (
        "layer pool has a multiplier of 3 and a shift of 4, "
        "an accelerator without multipliers needs a power of two of at most 2**shift."
    )


def test_tensor_added_to_itself():
    pixels = image()
    add = AddNode(
        name="add", inputs=("image", "image"), shape=(4, 8, 8), multiplier_a=1, multiplier_b=1,
        shift=1, **CODES,
    )  # fmt: skip
    assert refusal(graph(pixels, add)) == (
        "layer add adds image and image, "
        "the accelerator adds two tensors of which one is no concatenation."
    )


def test_add_of_a_convolution_and_its_input_is_a_step_of_its_own():
    pixels = image()
    first = conv("first", pixels)
    add = AddNode(
        name="add", inputs=("first", "image"), shape=(4, 8, 8), multiplier_a=1, multiplier_b=1,
        shift=1, **CODES,
    )  # fmt: skip
    program = compile_graph(graph(pixels, first, add), AcceleratorConfig(rows=4, cols=4))
    assert [step.nodes for step in program.steps] == [("first",), ("add",), ("logits",)]
    assert program.places["first"].bank != program.places["image"].bank


def test_an_add_that_follows_a_convolution_is_one_step():
    pixels = image()
    first = conv("first", pixels)
    second = conv("second", first)
    add = AddNode(
        name="add", inputs=("image", "second"), shape=(4, 8, 8), multiplier_a=1, multiplier_b=1,
        shift=1, **CODES,
    )  # fmt: skip
    program = compile_graph(graph(pixels, first, second, add), AcceleratorConfig(rows=4, cols=4))
    assert [step.nodes for step in program.steps] == [("first",), ("second", "add"), ("logits",)]


def test_maximum_of_lanes_in_several_blocks_covers_every_lane():
    pixels = image(5)
    pool = MaxPoolNode(name="pool", inputs=("image",), shape=(5, 4, 4), kernel=2, stride=2, **CODES)
    program = compile_graph(graph(pixels, pool), AcceleratorConfig(rows=2, cols=8))
    masks = [descriptor.lane_mask for descriptor in program.steps[0].descriptors]
    assert sum(masks) == 0xFF and len(masks) == 3


def test_a_multiplier_of_zero_is_no_power_of_two():
    pool = AvgPoolNode(
        name="pool", inputs=("image",), shape=(4, 4, 4), kernel=2, stride=2, multiplier=0,
        shift=4, **CODES,
    )  # fmt: skip
    given = graph(image(), pool)
    given.multiplier_bits = 0
    given["logits"].multiplier[:] = 1
    assert refusal(given, multiplier_bits=0).startswith("layer pool has a multiplier of 0 ")


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
