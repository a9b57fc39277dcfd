import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.graph import ModelError
from holdfast.nn.networks.spec import Network
from holdfast.nn.operators.scales import Encoding, Weights, image_encoding, quantize_multiplier
from holdfast.nn.quantization.lower import integer_graph


@given(factor=st.floats(2.0**-30, 200.0), bits=st.integers(8, 16))
def test_a_factor_becomes_multiplier_and_shift(factor, bits):
    multiplier, shift = quantize_multiplier(factor, bits)
    assert 1 << bits - 1 <= multiplier < 1 << bits
    assert math.isclose(multiplier / 2**shift, factor, rel_tol=2.0**-bits)


@pytest.mark.parametrize(
    ("factor", "bits", "expected"),
    [(1.0, 16, (32768, 15)), (0.75, 4, (12, 4)), (65535.9 / 65536, 16, (32768, 15)),
     (2.0**-60, 16, (0, 0)), (0.125, 0, (1, 3)), (1.0, 0, (1, 0))],
)  # fmt: skip
def test_normalize_examples(factor, bits, expected):
    assert quantize_multiplier(factor, bits) == expected


@pytest.mark.parametrize(("factor", "bits"), [(65536.0, 16), (2.0, 0), (0.3, 0)])
def test_normalize_refuses(factor, bits):
    with pytest.raises(ModelError, match="requantization factor"):
        quantize_multiplier(factor, bits)


@pytest.mark.parametrize("factor", [math.nan, math.inf, -math.inf, -1.0])
@pytest.mark.parametrize("bits", [0, 1, 16])
def test_normalize_refuses_what_is_no_factor(factor, bits):
    with pytest.raises(ModelError, match="must be finite and not negative"):
        quantize_multiplier(factor, bits)


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


ODD = (math.nan, math.inf, -math.inf, 0.0, -1.0, 1e-320, 1e-30, 1e30, 1e308, 0.25)


@settings(max_examples=300, deadline=None)
@given(
    values=st.fixed_dictionaries(
        {name: st.sampled_from(ODD) for name in ("gain", "offset", "a", "b", "c", "image")}
    ),
    bits=st.sampled_from([0, 1, 7, 8, 16, 24]),
    activation=st.sampled_from(["none", "relu", "relu6"]),
)
def test_odd_scales_are_lowered_or_one_sentence(values, bits, activation):
    spec = Network("tiny", (1, 2, 2))
    x = spec.conv("a", "image", 2, 1, activation=activation)
    x = spec.add("b", x, spec.conv("d", "image", 2, 1))
    spec.dense("e", spec.pool("avgpool", "c", x, 2, 2), 2)
    weights = Weights(
        np.full((2, 1, 1, 1), 100, np.int8), np.array([values["gain"], 0.5]),
        np.array([0.5, values["offset"]]),
    )  # fmt: skip
    dense = Weights(np.ones((2, 2, 1, 1), np.int8), np.ones(2), np.zeros(2))
    encodings = {name: Encoding(values[name], 0) for name in ("a", "b", "c", "image")}
    encodings |= {"d": encodings["a"], "e": encodings["c"]}
    try:
        graph = integer_graph(
            spec,
            {"a": weights, "d": weights, "e": dense},
            encodings,
            act_bits=8,
            weight_bits=8,
            multiplier_bits=bits,
        )
    except ModelError as error:
        assert str(error).endswith(".") and len(str(error)) < 300
    else:
        graph.validate()


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_a_scale_that_is_none_is_named(bad):
    weights = Weights(np.ones((1, 1, 1, 1), np.int8), np.ones(1), np.zeros(1))
    spec = Network("tiny", (1, 1, 1))
    spec.conv("a", "image", 1, 1)
    for name in ("image", "a"):
        encodings = {"image": image_encoding(8), "a": Encoding(0.5, 0)} | {name: Encoding(bad, 0)}
        with pytest.raises(ModelError, match=f"scale of layer '{name}' must be finite and above 0"):
            integer_graph(spec, {"a": weights}, encodings, act_bits=8, weight_bits=8)


@pytest.mark.parametrize("bits", [0, 1, 16])
def test_a_gain_of_zero_is_a_constant(bits):
    weights = Weights(np.full((2, 1, 1, 1), 99, np.int8), np.array([0, 0.5]), np.array([7.0, 0]))
    spec = Network("tiny", (1, 1, 1))
    spec.conv("a", "image", 2, 1, activation="none")
    encodings = {"image": Encoding(1.0, 0), "a": Encoding(0.5, 0)}
    graph = integer_graph(
        spec, {"a": weights}, encodings, act_bits=8, weight_bits=8, multiplier_bits=bits
    )
    for pixel in (-128, 0, 127):
        y = Golden(graph).run(torch.full((1, 1, 1, 1), pixel, dtype=torch.int8)).outputs["a"]
        # 7 real is 14 of its steps of a half
        assert y[0, 0].item() == 14


@pytest.mark.parametrize("bits", range(1, 8))
def test_average_pooling_has_multipliers_of_the_width_of_all_others(bits):
    spec = Network("tiny", (1, 2, 2))
    spec.dense("a", spec.pool("avgpool", "p", "image", 2, 2), 1)
    weights = Weights(np.full((1, 1, 1, 1), 3, np.int8), np.full(1, 0.1), np.zeros(1))
    encodings = {"image": Encoding(0.03, 0), "p": Encoding(0.02, 0), "a": Encoding(0.05, 0)}
    graph = integer_graph(
        spec, {"a": weights}, encodings, act_bits=8, weight_bits=8, multiplier_bits=bits
    )
    pool = graph["p"]
    assert 0 < pool.multiplier < 1 << bits
    # Half a step of a multiplier that uses all its bits.
    assert math.isclose(pool.multiplier / 2**pool.shift, 0.375, rel_tol=2.0**-bits)
    pool.multiplier = 1 << bits
    with pytest.raises(ModelError, match=f"multiplier of layer 'p' .* from 0 to {2**bits - 1}, "):
        graph.validate()


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
