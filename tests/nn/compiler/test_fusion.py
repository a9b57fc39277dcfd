from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.graph import AddNode
from tests.nn.compiler.graphs import CODES, conv, graph, image, refusal


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
