from tests.nn.compiler.graphs import refusal, simple


def test_rows_wider_than_the_accumulators():
    assert refusal(simple(), acc_depth=7) == (
        "layer first has rows of 8 pixels, the accumulators hold 7."
    )
