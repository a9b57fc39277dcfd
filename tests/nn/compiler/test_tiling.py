from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.graph import MaxPoolNode
from tests.nn.compiler.graphs import CODES, graph, image, refusal, simple


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


def test_maximum_of_lanes_in_several_blocks_covers_every_lane():
    pixels = image(5)
    pool = MaxPoolNode(name="pool", inputs=("image",), shape=(5, 4, 4), kernel=2, stride=2, **CODES)
    program = compile_graph(graph(pixels, pool), AcceleratorConfig(rows=2, cols=8))
    masks = [descriptor.lane_mask for descriptor in program.steps[0].descriptors]
    assert sum(masks) == 0xFF and len(masks) == 3
