from holdfast.nn.graph.graph import AvgPoolNode
from tests.nn.compiler.graphs import CODES, graph, image, refusal


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


def test_a_multiplier_of_zero_is_no_power_of_two():
    pool = AvgPoolNode(
        name="pool", inputs=("image",), shape=(4, 4, 4), kernel=2, stride=2, multiplier=0,
        shift=4, **CODES,
    )  # fmt: skip
    given = graph(image(), pool)
    given.multiplier_bits = 0
    given["logits"].multiplier[:] = 1
    assert refusal(given, multiplier_bits=0).startswith("layer pool has a multiplier of 0 ")
