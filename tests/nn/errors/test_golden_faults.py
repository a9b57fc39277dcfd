"""Fault models on the golden model against the independent reference, given the same faults."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from holdfast.nn.errors.base import ErrorModel
from holdfast.nn.errors.golden_faults import faulty_logits, stored_sizes
from holdfast.nn.errors.literature import (
    ActivationBitFlips,
    MacBitBias,
    SingleActivationFlip,
    WeightBitFlips,
)
from holdfast.nn.graph.golden import Golden
from holdfast.nn.networks.spec import Network
from tests import reference
from tests.random_graph import random_graph


@pytest.fixture(scope="module")
def graph():
    net = Network("small", input_shape=(3, 8, 8))
    a = net.conv("a", "image", 4, 3)
    b = net.conv("b", a, 4, 3, activation="none")
    c = net.pool("maxpool", "c", net.add("sum", b, a), 2, 2)
    net.dense("logits", net.pool("avgpool", "mean", c, 2, 2), 5)
    return random_graph(net, seed=2, act_bits=6, weight_bits=5)


@pytest.fixture(scope="module")
def codes():
    generator = torch.Generator().manual_seed(4)
    return torch.randint(-32, 32, (12, 3, 8, 8), generator=generator, dtype=torch.int8)


class Replacing(ErrorModel):
    """Gives one stored element of every image a code, and notes what it was asked."""

    def __init__(self, name, code):
        super().__init__()
        self.name, self.code, self.seen = name, code, []

    def start(self, sizes, images, bits, device):
        self.seen.append((dict(sizes), images, bits))

    def stored(self, name, values, scale, zero_point, bits):
        if name != self.name:
            return values
        values = values.clone()
        values[:, 1, 0, 1] = (self.code - zero_point) * scale
        return values


def after(graph, name, tensor, image, guard):
    """Logits of the reference when a tensor takes another's place: what follows, node by node."""
    tensors = reference.run(graph, image, guard)
    tensors[name] = tensor
    index = [node.name for node in graph.nodes].index(name)
    for node in graph.nodes[index + 1 :]:
        tensors[node.name] = run_one(graph, node, tensors, guard)
    return tensors[graph.nodes[-1].name].reshape(-1)


def run_one(graph, node, tensors, guard):
    sources = [graph[name] for name in node.inputs]
    given = [tensors[name] for name in node.inputs]
    zero, lo, hi = node.zero_point, node.lo, node.hi
    if node.op in ("conv", "dense"):
        return reference._layer(graph, node, given[0], sources[0].zero_point, guard, guard)[0]
    if node.op == "add":
        zeros = (source.zero_point for source in sources)
        scales = (node.multiplier_a, node.multiplier_b, node.shift)
        return reference.add(*given, *zeros, *scales, zero, lo, hi, graph.rounding)
    if node.op == "avgpool":
        window = (node.kernel, node.stride, node.padding, node.multiplier, node.shift)
        zeros = (sources[0].zero_point, zero)
        return reference.average_pool(given[0], *window, *zeros, lo, hi, graph.rounding)
    return reference.max_pool(given[0], node.kernel, node.stride, node.padding)


@pytest.mark.parametrize("guard", [None, "bound", "zero"])
@pytest.mark.parametrize(
    ("name", "code"), [("a", 31), ("b", -32), ("sum", 30), ("c", 31), ("mean", -32)]
)
def test_a_struck_activation_goes_through_what_follows(graph, codes, guard, name, code):
    # Bounds that the code lies beyond, so that the input guard has something to replace.
    tight = dataclasses.replace(
        graph,
        nodes=[
            dataclasses.replace(n, input_lo=-20, input_hi=20) if n.op in ("conv", "dense") else n
            for n in graph.nodes
        ],
    )
    faults = Replacing(name, code)
    found = faulty_logits(Golden(tight, guard, guard), codes[:4], faults, batch=2)
    for image, logits in zip(codes[:4].numpy(), found.numpy(), strict=True):
        struck = reference.run(tight, image, guard)[name].copy()
        struck[1, 0, 1] = code
        assert logits.tolist() == after(tight, name, struck, image, guard).tolist()
    assert faults.seen == [({"a": 256, "b": 256, "sum": 256, "c": 64, "mean": 16}, 2, 6)] * 2


def test_no_faults_change_nothing(graph, codes):
    model = Golden(graph, "bound", "bound")
    clean = model.logits(codes)
    for faults in (ErrorModel(), ActivationBitFlips(0.0), MacBitBias(0.0), WeightBitFlips(0.0)):
        assert torch.equal(faulty_logits(model, codes, faults), clean)
    assert model.disturb is None


def test_struck_weights_keep_the_bias(graph, codes):
    class Doubled(ErrorModel):
        def weights(self, values, bits):
            assert bits == 5
            return values.sign() * 7

    doubled = []
    for node in graph.nodes:
        if node.op == "conv":
            weight = np.sign(node.weight) * 7
            zero = graph[node.inputs[0]].zero_point
            real = node.bias + zero * node.weight.astype(int).sum((1, 2, 3))
            bias = real - zero * weight.astype(int).sum((1, 2, 3))
            node = dataclasses.replace(node, weight=weight.astype(np.int8), bias=bias)
        doubled.append(node)
    struck = dataclasses.replace(graph, nodes=doubled)
    found = faulty_logits(Golden(graph), codes[:3], Doubled())
    for image, logits in zip(codes[:3].numpy(), found.numpy(), strict=True):
        assert logits.tolist() == reference.run(struck, image)["logits"].reshape(-1).tolist()


@pytest.mark.parametrize("guard", [None, "bound"])
def test_struck_sums_are_seen_by_the_output_guard(graph, codes, guard):
    class Raised(ErrorModel):
        def sums(self, values, macs, bits, name):
            assert (macs, bits) in ((27, 6), (36, 6))
            values = values.clone()
            values[:, 2] += 1000 * graph["a"].scale if macs == 27 else 0
            return values

    image = codes[:1]
    found = faulty_logits(Golden(graph, guard, guard), image, Raised())
    struck = reference.run(graph, image[0].numpy(), guard)["a"].copy()
    top = graph["a"].hi
    struck[2] = min(top, int(graph["a"].guard_hi[2])) if guard else top
    assert found[0].tolist() == after(graph, "a", struck, image[0].numpy(), guard).tolist()


def test_single_flips_strike_every_image_once(graph, codes):
    """Of the stored tensors that a flip reaches, the first differs in one bit of one code."""
    seen = []

    class Noting(SingleActivationFlip):
        def stored(self, name, values, scale, zero_point, bits):
            struck = super().stored(name, values, scale, zero_point, bits)
            changed = ((struck != values).flatten(1).sum(1)).tolist()
            before, now = (v[struck != values] + zero_point for v in (values, struck))
            for a, b in zip(before.tolist(), now.tolist(), strict=True):
                seen.append((int(a) ^ int(b)) & 63)
            assert max(changed) <= 1
            return struck

    faulty_logits(Golden(graph), codes, Noting(seed=9), batch=5)
    assert len(seen) == len(codes)
    assert all(bits.bit_count() == 1 for bits in seen)


def test_equal_seeds_strike_alike_with_and_without_the_guard(graph, codes):
    drawn = []

    class Noting(ActivationBitFlips):
        def stored(self, name, values, scale, zero_point, bits):
            struck = super().stored(name, values, scale, zero_point, bits)
            drawn[-1].append((name, (struck != values).nonzero().tolist()))
            return struck

    for guard in (None, "bound"):
        drawn.append([])
        faulty_logits(Golden(graph, guard, guard), codes, Noting(0.01, seed=3))
    assert drawn[0] == drawn[1]
    hit = sum(len(places) for _, places in drawn[0])
    size = sum(stored_sizes(graph).values()) * len(codes)
    # Elements with at least one flip of six bits: a binomial share.
    share = 1 - 0.99**6
    assert abs(hit - size * share) < 5 * math.sqrt(size * share)
