import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nn.golden import Golden
from nn.graph import ModelError
from nn.lower import Encoding, Weights, image_encoding, integer_graph, normalize
from nn.networks import Network


@given(factor=st.floats(2.0**-30, 200.0), bits=st.integers(8, 16))
def test_normalize(factor, bits):
    multiplier, shift = normalize(factor, bits)
    assert 1 << bits - 1 <= multiplier < 1 << bits
    assert math.isclose(multiplier / 2**shift, factor, rel_tol=2.0**-bits)


@pytest.mark.parametrize(
    ("factor", "bits", "expected"),
    [(1.0, 16, (32768, 15)), (0.75, 4, (12, 4)), (65535.9 / 65536, 16, (32768, 15)),
     (2.0**-60, 16, (0, 0)), (0.125, 0, (1, 3)), (1.0, 0, (1, 0))],
)  # fmt: skip
def test_normalize_examples(factor, bits, expected):
    assert normalize(factor, bits) == expected


@pytest.mark.parametrize(("factor", "bits"), [(65536.0, 16), (2.0, 0), (0.3, 0)])
def test_normalize_refuses(factor, bits):
    with pytest.raises(ModelError, match="requantization factor"):
        normalize(factor, bits)


def graph_of(gain, offset, codes=None):
    codes = np.full((len(gain), 1, 1, 1), 100, np.int8) if codes is None else codes
    weights = Weights(codes, np.array(gain, float), np.array(offset, float))
    encodings = {"image": image_encoding(8), "a": Encoding(0.5, 0)}
    spec = Network("tiny", (1, 1, 1))
    spec.conv("a", "image", len(gain), 1, activation="none")
    return integer_graph(spec, {"a": weights}, encodings, act_bits=8, weight_bits=8), weights


@pytest.mark.parametrize("pixel", [0, 1, 100, 255])
def test_output_is_the_real_value_rounded(pixel):
    gain, offset = [0.2, -0.3, 1e-9, 0.0], [4.1, -3.3, 17.4, -60.0]
    graph, _ = graph_of(gain, offset)
    y = Golden(graph).run(torch.full((1, 1, 1, 1), pixel - 128, dtype=torch.int8)).outputs["a"]
    real = np.array(gain) * 100 * pixel / 255 + np.array(offset)
    np.testing.assert_allclose(y.flatten(), real / 0.5, atol=0.51)


def test_negative_gain_turns_the_weights_around():
    graph, _ = graph_of([-0.3, 0.3], [0, 0])
    assert graph["a"].weight.flatten().tolist() == [-100, 100]
    assert (graph["a"].multiplier > 0).all()


def test_constant_channel_needs_no_wide_accumulator():
    graph, _ = graph_of([1e-12], [63.0])
    assert graph["a"].weight.item() == 0
    assert graph.accumulator_bits(graph["a"]) <= 9


def test_relu6_clamps_at_the_code_of_six():
    net = Network("tiny", (1, 1, 1))
    net.conv("a", "image", 1, 1, activation="relu6")
    weights = {"a": Weights(np.ones((1, 1, 1, 1), np.int8), np.ones(1), np.zeros(1))}
    encodings = {"image": image_encoding(8), "a": Encoding(0.05, -128)}
    node = integer_graph(net, weights, encodings, act_bits=8, weight_bits=8)["a"]
    assert (node.lo, node.hi) == (-128, -8)
