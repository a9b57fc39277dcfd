"""A network that makes its input 16 times as large, beyond what codes can say."""

from holdfast.nn.graph.graph import AvgPoolNode, Graph, InputNode


def rescaling() -> Graph:
    """An average pooling over single pixels, 8 bits, zero point -100."""
    image = InputNode(name="image", shape=(1, 1, 4), scale=1.0, zero_point=0, lo=-128, hi=127)
    pool = AvgPoolNode(
        name="pool", inputs=["image"], shape=(1, 1, 4), scale=1.0, zero_point=-100, lo=-128,
        hi=127, kernel=1, stride=1, padding=0, multiplier=1 << 15, shift=11,
    )  # fmt: skip
    return Graph("one", 8, 8, 16, "half_up", 4, [image, pool])
