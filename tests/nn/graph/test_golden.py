"""The golden model against plain loops over Python integers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.nn.graph.golden import Golden, classes
from holdfast.nn.graph.graph import AddNode, AvgPoolNode, ConvNode, Graph, InputNode
from holdfast.nn.networks.spec import Network
from tests.nn.rescaling import rescaling
from tests.random_graph import random_graph


def single_conv(
    x_shape,
    weight,
    bias,
    multiplier,
    shift,
    *,
    zero_points=(0, 0),
    clamp=(-128, 127),
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    offset=0,
    rounding="half_up",
):
    _, h, w = x_shape
    out = len(weight)
    size = [
        (side - offset + 2 * padding - dilation * (k - 1) - 1) // stride + 1
        for side, k in zip((h, w), weight.shape[2:], strict=True)
    ]
    image = InputNode(name="image", shape=x_shape, scale=1.0, zero_point=zero_points[0],
                      lo=-128, hi=127)  # fmt: skip
    node = ConvNode(
        name="conv", inputs=("image",), shape=(out, *size), scale=1.0, zero_point=zero_points[1],
        lo=clamp[0], hi=clamp[1], weight=weight.astype(np.int8), bias=np.array(bias, np.int64),
        multiplier=np.array(multiplier, np.int64), shift=np.array(shift, np.int64),
        guard_lo=np.full(out, -(1 << 15)), guard_hi=np.full(out, (1 << 15) - 1), input_lo=-128,
        input_hi=127, stride=stride, padding=padding, dilation=dilation, groups=groups,
        offset=offset,
    )  # fmt: skip
    return Graph("test", 8, 8, 16, rounding, out, [image, node])


def loop_conv(x, node, zero_in):
    """One image, [C, H, W], half_up, in Python integers."""
    per_group_in, per_group_out = node.weight.shape[1], len(node.weight) // node.groups
    y = np.empty(node.shape, np.int64)
    for o, i, j in np.ndindex(node.shape):
        acc = int(node.bias[o])
        for c, ki, kj in np.ndindex(node.weight.shape[1:]):
            row = node.offset + i * node.stride - node.padding + ki * node.dilation
            column = node.offset + j * node.stride - node.padding + kj * node.dilation
            inside = 0 <= row < x.shape[1] and 0 <= column < x.shape[2]
            source = o // per_group_out * per_group_in + c
            code = int(x[source, row, column]) if inside else zero_in
            acc += code * int(node.weight[o, c, ki, kj])
        scaled = acc * int(node.multiplier[o])
        shift = int(node.shift[o])
        half = (1 << shift) // 2
        y[o, i, j] = min(max((scaled + half) // (1 << shift) + node.zero_point, node.lo), node.hi)
    return y


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 1 << 30), kernel=st.integers(1, 5), stride=st.integers(1, 2),
    padding=st.integers(0, 2), dilation=st.integers(1, 2), groups=st.sampled_from([1, 2, 4]),
    offset=st.integers(0, 3),
)  # fmt: skip
def test_convolution(seed, kernel, stride, padding, dilation, groups, offset):
    rng = np.random.default_rng(seed)
    side = dilation * (kernel - 1) + 1 + offset + int(rng.integers(0, 4))
    weight = rng.integers(-127, 128, (4, 4 // groups, kernel, kernel))
    graph = single_conv(
        (4, side, side), weight, rng.integers(-9999, 9999, 4), rng.integers(32768, 65536, 4),
        rng.integers(18, 30, 4), zero_points=(-128, 5), clamp=(-100, 90), stride=stride,
        padding=padding, dilation=dilation, groups=groups, offset=offset,
    )  # fmt: skip
    x = rng.integers(-128, 128, (2, 4, side, side)).astype(np.int8)
    y = Golden(graph).run(torch.from_numpy(x)).outputs["conv"]
    for image in range(2):
        np.testing.assert_array_equal(y[image], loop_conv(x[image], graph["conv"], -128))


@pytest.mark.parametrize("channels", [1000, 1033, 3000])
def test_every_partial_sum_is_exact(channels):
    """Around and beyond 2^24, where float32 alone would lose the last bits."""
    weight = np.full((1, channels, 1, 1), 127)
    weight[0, -1] = 126
    graph = single_conv((channels, 1, 1), weight, [1], [1 << 15], [15], zero_points=(0, 0))
    x = torch.full((1, channels, 1, 1), -128, dtype=torch.int8)
    v = Golden(graph).before_guard(graph["conv"], x)
    assert v.item() == -128 * (127 * (channels - 1) + 126) + 1


def test_output_guard_saturates_compares_and_counts():
    weight = np.ones((2, 1, 1, 1))
    graph = single_conv((1, 1, 4), weight, [0, 0], [1 << 15] * 2, [15, 5], zero_points=(0, 3),
                        clamp=(-50, 50))  # fmt: skip
    node = graph["conv"]
    node.guard_lo[:] = [-20, -(1 << 15)]
    node.guard_hi[:] = [30, (1 << 15) - 1]
    x = torch.tensor([[[[-128, -23, 27, 28]]]], dtype=torch.int8)
    # v = x + 3 in channel 0; 1024 x + 3 in channel 1, saturated to 16 bits: no bound fires
    bound = Golden(graph, output_guard="bound").run(x)
    assert bound.outputs["conv"][0, 0, 0].tolist() == [-20, -20, 30, 30]
    assert bound.outputs["conv"][0, 1, 0].tolist() == [-50, -50, 50, 50]
    assert bound.output_violations["conv"].tolist() == [2]
    zero = Golden(graph, output_guard="zero").run(x)
    assert zero.outputs["conv"][0, 0, 0].tolist() == [3, -20, 30, 3]
    assert zero.input_violations == {}


def test_output_guard_comes_before_the_clamp():
    """A bound beyond the clamp: the clamp alone would hide what the bound replaces."""
    graph = single_conv((1, 1, 4), np.ones((1, 1, 1, 1)), [0], [1 << 15], [15], clamp=(-50, 50))
    node = graph["conv"]
    node.guard_lo[:], node.guard_hi[:] = -60, 55
    x = torch.tensor([[[[-61, -60, 55, 56]]]], dtype=torch.int8)
    bound = Golden(graph, output_guard="bound").run(x)
    assert bound.outputs["conv"].flatten().tolist() == [-50, -50, 50, 50]
    assert bound.output_violations["conv"].tolist() == [2]
    zero = Golden(graph, output_guard="zero").run(x)
    assert zero.outputs["conv"].flatten().tolist() == [0, -50, 50, 0]


def test_fixed_bounds_are_two_ranges_of_the_codes_from_the_zero_point():
    """8 bits: differences of -512 to 511 pass, whatever the learnt bounds say."""
    graph = single_conv((1, 1, 6), np.ones((1, 1, 1, 1)), [0], [1 << 15], [10], zero_points=(0, 3),
                        clamp=(5, 50))  # fmt: skip
    graph["conv"].guard_lo[:], graph["conv"].guard_hi[:] = 0, 1
    x = torch.tensor([[[[-17, -16, 0, 15, 16, 127]]]], dtype=torch.int8)
    # v - 3 = 32 x
    run = Golden(graph, output_guard="zero", fixed_bound=512).run(x)
    # The zero point that stands in meets the clamp, as every value does.
    assert run.outputs["conv"].flatten().tolist() == [5, 5, 5, 50, 5, 5]
    assert run.output_violations["conv"].tolist() == [3]


def test_fixed_bounds_hold_for_average_poolings():
    graph = rescaling()
    x = torch.tensor([[[[-33, -32, 31, 32]]]], dtype=torch.int8)
    run = Golden(graph, output_guard="zero", fixed_bound=512).run(x)
    assert run.outputs["pool"].flatten().tolist() == [-100, -128, 127, -100]
    assert run.output_violations["pool"].tolist() == [2]
    learnt = Golden(graph, output_guard="zero").run(x)
    assert learnt.outputs["pool"].flatten().tolist() == [-128, -128, 127, 127]
    assert learnt.output_violations == {}


def test_each_addend_has_its_own_zero_point():
    image = InputNode(name="image", shape=(1, 1, 3), scale=1.0, zero_point=-128, lo=-128, hi=127)
    pool = AvgPoolNode(
        name="pool", inputs=("image",), shape=(1, 1, 3), scale=1.0, zero_point=10, lo=-128, hi=127,
        kernel=1, stride=1, multiplier=1, shift=0,
    )  # fmt: skip
    add = AddNode(
        name="add", inputs=("image", "pool"), shape=(1, 1, 3), scale=1.0, zero_point=-5, lo=-128,
        hi=127, multiplier_a=3, multiplier_b=2, shift=2,
    )  # fmt: skip
    graph = Graph("test", 8, 8, 16, "half_up", 1, [image, pool, add])
    x = torch.tensor([[[[-128, -127, -100]]]], dtype=torch.int8)
    # The pooling adds 138: real values 0, 1, 28 on both sides; (3 r + 2 r) / 4 - 5.
    outputs = Golden(graph).run(x).outputs
    assert outputs["pool"].flatten().tolist() == [10, 11, 38]
    assert outputs["add"].flatten().tolist() == [-5, -4, 30]


def test_input_guard_exempts_padding():
    weight = np.ones((1, 1, 3, 3))
    graph = single_conv((1, 1, 3), weight, [0], [1 << 15], [15], zero_points=(-9, 0), padding=1)
    node = graph["conv"]
    node.input_lo, node.input_hi = 0, 10
    x = torch.tensor([[[[-1, 5, 30]]]], dtype=torch.int8)
    above_and_below = -9 * 6
    run = Golden(graph, input_guard="bound").run(x)
    expected = [-9 + 0 + 5, 0 + 5 + 10, 5 + 10 - 9]
    assert run.outputs["conv"].flatten().tolist() == [above_and_below + e for e in expected]
    assert run.input_violations["conv"].tolist() == [2]
    run = Golden(graph, input_guard="zero").run(x)
    expected = [-9 - 9 + 5, -9 + 5 - 9, 5 - 9 - 9]
    assert run.outputs["conv"].flatten().tolist() == [above_and_below + e for e in expected]


def every_operation() -> Network:
    net = Network("tiny", (3, 12, 12))
    a = net.conv("a", "image", 8, 3)
    b = net.conv("b", a, 8, 3, activation="relu6", groups=8)
    c = net.add("c", a, b, activation="none")
    d = net.pool("maxpool", "d", c, 3, 2, 1)
    e = net.shortcut("e", c, 12, 2)
    f = net.concat("f", d, e)
    g = net.pool("avgpool", "g", f, 2, 2)
    net.dense("h", g, 10)
    return net


@pytest.mark.parametrize("act_bits", [2, 5, 8])
@pytest.mark.parametrize("rounding", ["half_up", "half_even", "floor"])
def test_small_operations(act_bits, rounding):
    graph = random_graph(every_operation(), 3, act_bits, 4, rounding=rounding)
    low, high = graph.codes
    x = np.random.default_rng(1).integers(low, high + 1, (2, 3, 12, 12)).astype(np.int8)
    out = {name: y.numpy().astype(int) for name, y in
           Golden(graph).run(torch.from_numpy(x)).outputs.items()}  # fmt: skip

    def requantize(v, node):
        half = {"half_up": 0.5, "floor": 0.0}
        real = v / 2.0**node.shift
        q = np.rint(real) if rounding == "half_even" else np.floor(real + half[rounding])
        return np.clip(q + node.zero_point, node.lo, node.hi).astype(int)

    add = graph["c"]
    total = (out["a"] - graph["a"].zero_point) * add.multiplier_a
    total += (out["b"] - graph["b"].zero_point) * add.multiplier_b
    np.testing.assert_array_equal(out["c"], requantize(total, add))

    padded = np.pad(out["c"], ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-999)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    np.testing.assert_array_equal(out["d"], windows[:, :, ::2, ::2].max((4, 5)))

    np.testing.assert_array_equal(out["e"][:, :8], out["c"][:, :, ::2, ::2])
    assert (out["e"][:, 8:] == graph["c"].zero_point).all()
    np.testing.assert_array_equal(out["f"], np.concatenate([out["d"], out["e"]], 1))

    pool = graph["g"]
    sums = (out["f"] - pool_zero(graph)).reshape(2, 20, 3, 2, 3, 2).sum((3, 5))
    np.testing.assert_array_equal(out["g"], requantize(sums * pool.multiplier, pool))


def pool_zero(graph: Graph) -> int:
    return graph["f"].zero_point


def test_average_pool_pads_with_the_zero_point():
    net = Network("tiny", (3, 4, 4))
    a = net.conv("a", "image", 2, 3)
    b = net.pool("avgpool", "b", a, 3, 2, 1)
    net.dense("c", b, 10)
    graph = random_graph(net, 1)
    x = torch.randint(-128, 128, (1, 3, 4, 4), dtype=torch.int8)
    out = Golden(graph).run(x).outputs
    corner = (out["a"][0, :, :2, :2].to(int) - graph["a"].zero_point).sum((1, 2)).tolist()
    pool = graph["b"]
    expected = [((s * pool.multiplier + (1 << pool.shift - 1)) >> pool.shift) + pool.zero_point
                for s in corner]  # fmt: skip
    assert out["b"][0, :, 0, 0].tolist() == [min(max(e, pool.lo), pool.hi) for e in expected]


def test_run_from_equals_a_full_run():
    graph = random_graph(every_operation(), 7)
    golden = Golden(graph, output_guard="bound", input_guard="zero")
    images = torch.randint(-128, 128, (3, 3, 12, 12), dtype=torch.int8)
    cached = golden.run(images).outputs
    faulty = cached["a"][[2, 0, 0, 1]].clone()
    faulty[:, 1, 2:5, 3] ^= 0x40
    which = torch.tensor([2, 0, 0, 1])
    result = golden.run_from("a", faulty, cached, which)
    assert set(result.outputs) == {"a", "b", "c", "d", "e", "f", "g", "h"}
    assert not torch.equal(result.outputs["h"], cached["h"][which])

    b = graph["b"].evaluate(golden, [faulty], golden.run(images[:1], ()))
    assert torch.equal(result.outputs["b"], b)
    downstream = golden.run_from("b", b, {**cached, "a": faulty}, keep={"h"})
    assert list(downstream.outputs) == ["h"]
    assert torch.equal(result.outputs["h"], downstream.outputs["h"])
    unchanged = golden.run_from("a", cached["a"], cached)
    assert torch.equal(unchanged.outputs["h"], cached["h"])
    one = golden.run_from(
        "a", faulty[:1].expand(2, -1, -1, -1), {k: v[2:] for k, v in cached.items()}
    )
    assert torch.equal(one.outputs["h"][1], result.outputs["h"][0])


def test_run_from_recomputes_only_what_depends():
    graph = random_graph("resnet8")
    golden = Golden(graph)
    cached = golden.run(torch.zeros((1, 3, 32, 32), dtype=torch.int8)).outputs
    result = golden.run_from("block3_shortcut", cached["block3_shortcut"], cached)
    assert set(result.outputs) == {"block3_shortcut", "block3_add", "pool", "logits"}


def test_batches_agree_with_single_images():
    graph = random_graph("resnet8", 5)
    x = torch.randint(-128, 128, (5, 3, 32, 32), dtype=torch.int8)
    golden = Golden(graph)
    assert torch.equal(
        golden.logits(x, 2), torch.cat([golden.logits(x[i : i + 1]) for i in range(5)])
    )


def test_class_is_the_lowest_index_among_the_maxima():
    logits = torch.tensor([[1, 7, 7, 3], [-5, -5, -5, -5], [0, 1, 2, 3]], dtype=torch.int8)
    assert classes(logits).tolist() == [1, 0, 3]
