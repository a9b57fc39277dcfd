"""Fake quantization and integers are two ways to write the same network."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from holdfast.nn.errors.base import ErrorModel
from holdfast.nn.errors.registry import fault_model
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.graph import ModelError
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.spec import Network
from holdfast.nn.quantization.clipping import CLIP_METHODS, best_clip, clips
from holdfast.nn.quantization.fake_quantize import FakeQuantize
from holdfast.nn.quantization.guard_bounds import learn_bounds
from holdfast.nn.quantization.quantized import (
    GRANULARITIES,
    SCALES,
    QuantizedNetwork,
    fake_quantized,
)
from tests.nn.layerwise import assert_layers_agree
from tests.nn.settling import settle
from tests.random_graph import random_graph


def block() -> Network:
    net = Network("block", (3, 16, 16))
    a = net.conv("a", "image", 8, 3)
    b = net.conv("b", a, 8, 3, activation="none")
    c = net.add("c", b, a)
    d = net.conv("d", c, 16, 3, 2, activation="relu6")
    e = net.shortcut("e", c, 16, 2)
    f = net.add("f", d, e)
    net.dense("g", net.pool("avgpool", "p", f, 8, 8), 10)
    return net


@pytest.fixture(params=[(8, 8), (4, 4), (3, 6)], ids=str)
def trained(request):
    return settled(*request.param)


def settled(act_bits, weight_bits, shifts=False, per_tensor=False):
    """A quantized network with settled batch norms of both signs, and images."""
    torch.manual_seed(2)
    net = FloatNetwork(block())
    images = torch.randint(0, 256, (64, 3, 16, 16), dtype=torch.uint8)
    settle(net, images, biases=True)
    with torch.no_grad():
        largest = clips(net.spec, net.eval().tensors(images.float() / 255), act_bits)
    way = SCALES[shifts], GRANULARITIES[per_tensor]
    return fake_quantized(net, largest, act_bits, weight_bits, *way).eval(), images


def test_every_layer_computes_what_its_fake_quantized_form_does(trained):
    assert_layers_agree(*trained)


@pytest.mark.parametrize("scales", SCALES)
def test_a_concatenation_with_the_image_can_be_trained(scales):
    """Its step is that of the image, which is not learnt."""
    net = Network("around", (3, 8, 8))
    joined = net.concat("c", "image", net.conv("a", "image", 4, 3))
    net.dense("d", net.pool("avgpool", "p", joined, 8, 8), 10)
    clips = {"image": 1.0, "p": 1.0, "d": 4.0}
    quantized = fake_quantized(FloatNetwork(net), clips, 8, 8, scales)
    quantized(torch.rand(4, 3, 8, 8)).square().sum().backward()
    gradient = quantized.layers["a"].conv.weight.grad
    assert gradient.isfinite().all() and (gradient != 0).any()


@pytest.mark.parametrize("per_tensor", [False, True])
def test_weights_of_one_scale_a_layer(per_tensor):
    quantized, images = settled(8, 8, per_tensor=per_tensor)
    assert_layers_agree(quantized, images)
    weights = quantized.layers["a"].conv.quant_weight()
    assert weights.scale.numel() == (1 if per_tensor else len(weights.value))


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("per_tensor", [False, True])
@pytest.mark.parametrize(("act_bits", "weight_bits"), [(8, 8), (6, 4)])
def test_training_with_shifts_is_training_what_the_shifts_compute(
    act_bits, weight_bits, per_tensor
):
    """Steps of training, in which weights and batch norms move, but neither steps nor statistics:
    afterwards the integers still are the fake-quantized network."""
    quantized, images = settled(act_bits, weight_bits, shifts=True, per_tensor=per_tensor)
    steps = [node.scale for node in quantized.integer_graph().nodes[1:]]
    assert quantized.scale_parameters() == [] and all(math.frexp(s)[0] == 0.5 for s in steps)
    pixels = images.float() / 255
    mean = quantized.layers["a"].bn.running_mean.clone()
    weight = quantized.layers["a"].conv.weight.detach().clone()
    labels = torch.arange(len(images)) % 10
    optimizer = torch.optim.SGD(quantized.parameters(), 0.02)
    losses = []
    for _ in range(8):
        loss = F.cross_entropy(quantized.train()(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert not torch.equal(quantized.layers["a"].conv.weight, weight)
    assert torch.equal(quantized.layers["a"].bn.running_mean, mean)
    graph = quantized.integer_graph()
    assert [node.scale for node in graph.nodes[1:]] == steps
    assert graph.multiplier_bits == 0
    assert all((node.multiplier == 1).all() for node in graph.weighted())
    # Biases are rounded to a step of the sums, which tells where shifts are small.
    assert_layers_agree(quantized, images, share=0.05)


@pytest.mark.parametrize("gamma", [0.0, 1e-6, 1e-3])
def test_channels_next_to_constant_do_not_widen_the_accumulators(gamma):
    """Such channels become what they are, their batch norm's beta, at a shift that leaves the bias
    inside of 24 bits."""
    quantized, images = settled(8, 8, shifts=True)
    bn = quantized.layers["a"].bn
    with torch.no_grad():
        bn.weight[0], bn.bias[0] = gamma, 0.7
    graph = quantized.integer_graph()
    assert max(graph.accumulator_bits(node) for node in graph.weighted()) <= 24
    node = graph["a"]
    codes = Golden(graph).run(image_codes(images.numpy(), 8)).outputs["a"][:, 0].int()
    assert (codes - node.zero_point - round(0.7 / node.scale)).abs().max() <= 1
    assert_layers_agree(quantized, images)


@pytest.mark.parametrize("shifts", [False, True])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_not_lowered(bad, shifts):
    quantized, _ = settled(8, 8, shifts=shifts)
    with torch.no_grad():
        quantized.layers["a"].conv.weight[0, 0, 0, 0] = bad
    with pytest.raises(ModelError, match=r"layers\.a\.conv\.weight of network \w+ is not finite\."):
        quantized.integer_graph()


def test_faults_strike_the_codes_that_shifts_use():
    """Weights struck under the model are those of the integer graph, struck alike."""
    quantized, images = settled(8, 8, shifts=True)
    seen = []

    class Watch(ErrorModel):
        def weights(self, codes, bits):
            seen.append(codes.clone())
            return codes

    quantized(images.float() / 255, Watch())
    graph = quantized.integer_graph()
    held = [node.weight for node in graph.weighted() if node.op == "conv"]
    assert len(seen) == len(held)
    for codes, weight in zip(seen, held, strict=True):
        assert np.array_equal(codes.numpy(), weight)


def test_the_image_is_quantized_as_the_contract_says(trained):
    quantized, _ = trained
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    with torch.no_grad():
        image = quantized.tensors(every.float() / 255)["image"]
    levels = (1 << quantized.act_bits) - 1
    codes = (image.double() * levels).round() - (1 << quantized.act_bits - 1)
    assert torch.equal(codes.to(torch.int8), image_codes(every, quantized.act_bits))


def test_gradients_reach_weights_and_scales(trained):
    quantized, images = trained
    quantized.train()(images.float() / 255).square().sum().backward()
    scales = quantized.scale_parameters()
    assert len(scales) == 7
    assert all(scale.grad is not None and scale.grad.abs() > 0 for scale in scales[:3])
    assert quantized.layers["a"].conv.weight.grad.abs().sum() > 0


def test_learnt_bounds_begin_at_the_extremes(trained):
    quantized, images = trained
    pixels = images.float() / 255
    before = quantized(pixels).detach()
    open_graph = quantized.integer_graph()
    quantized.learn_output_bounds(pixels)
    assert torch.equal(quantized(pixels), before)
    learn_bounds(open_graph, images.numpy())
    graph = quantized.integer_graph()
    for node, calibrated in zip(graph.weighted(), open_graph.weighted(), strict=True):
        # what the integers reach on the same images, but for their rounding
        assert np.abs(node.guard_lo - calibrated.guard_lo).max() <= 2
        assert np.abs(node.guard_hi - calibrated.guard_hi).max() <= 2
        assert (node.guard_hi > node.guard_lo).any()


def test_the_guard_of_the_integers_has_the_learnt_bounds(trained):
    quantized, images = trained
    pixels = images.float() / 255
    free = quantized(pixels).detach()
    quantized.learn_output_bounds(pixels)
    assert set(quantized.bounds) == {"a", "b", "d", "g"}
    with torch.no_grad():
        for bounds in quantized.bounds.values():
            bounds *= 0.5
    quantized(pixels).square().sum().backward()
    assert all(bounds.grad.abs().sum() > 0 for bounds in quantized.bounds.values())
    assert not torch.allclose(quantized(pixels), free)
    graph = quantized.integer_graph()
    for node in graph.weighted():
        low, high = quantized.bounds[node.name].detach().double().numpy() / node.scale
        np.testing.assert_array_equal(node.guard_lo, np.rint(low) + node.zero_point)
        np.testing.assert_array_equal(node.guard_hi, np.rint(high) + node.zero_point)
    last = graph.nodes[-1]
    codes = Golden(graph, "bound").run(image_codes(images.numpy(), graph.act_bits)).outputs["g"]
    real = (codes.double() - last.zero_point) * last.scale
    steps = (real.flatten(1) - quantized(pixels).detach()).abs() / last.scale
    # one code of the layers before can be one code of a logit, rarely more
    assert steps.mean() < 0.5
    off = Golden(graph).run(image_codes(images.numpy(), graph.act_bits)).outputs["g"]
    assert (off != codes).any()


@pytest.mark.parametrize("shifts", [False, True])
@pytest.mark.parametrize("faults", [None, "mibb", "adsaf", "stuck-pes", "ibf-activations"])
def test_weights_quantized_once_are_the_same(shifts, faults, monkeypatch):
    net, images = settled(8, 8, shifts)
    pixels = images.float() / 255

    def logits():
        model = fault_model(faults, 0.02, 5) if faults else None
        return torch.cat([net(part, model) for part in pixels.split(32)]).detach()

    plain, clean = logits(), net(pixels).detach()
    assert torch.equal(plain, clean) == (faults is None)
    quantize, asked = net._quantized_weights, []

    def counted(layer):
        asked.append(layer.name)
        return quantize(layer)

    monkeypatch.setattr(net, "_quantized_weights", counted)
    with net.frozen_weights():
        assert torch.equal(logits(), plain)
    assert sorted(asked) == sorted(net.layers)
    # Outside, a change of weights or scales is seen; and by the next to keep them.
    with torch.no_grad():
        net.layers["d"].conv.weight.mul_(-1)
    changed = logits()
    assert not torch.equal(changed, plain)
    with net.frozen_weights():
        assert torch.equal(logits(), changed)


def test_best_clip():
    values = torch.cat([torch.linspace(0, 1, 1000), torch.tensor([100.0])])[None]
    assert best_clip(values, 255).item() > 50
    uniform = torch.linspace(-1, 1, 1001)[None]
    assert best_clip(uniform, 127).item() == pytest.approx(1)


def test_ways_to_clip():
    net = Network("one", (1, 100, 100))
    net.conv("a", "image", 1, 1)
    values = torch.arange(1, 10_001, dtype=torch.float32).reshape(1, 1, 100, 100)
    tensors = {"image": values / 10_000, "a": values}
    found = {method: clips(net, tensors, 8, method)["a"] for method in CLIP_METHODS}
    assert found["max"] == 10_000
    assert found["percentile"] == 9999
    assert found["mse"] == pytest.approx(10_000, rel=0.06)


def test_learnt_bounds_are_the_extremes():
    graph = random_graph(block(), 1)
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 16, 16)).astype(np.uint8)
    learn_bounds(graph, images, batch=3)
    golden = Golden(graph)
    codes = image_codes(images, 8)
    outputs = golden.run(codes).outputs
    for node in graph.weighted():
        source = outputs[node.inputs[0]]
        v = golden.before_guard(node, source).transpose(0, 1).flatten(1)
        np.testing.assert_array_equal(node.guard_lo, v.amin(1))
        np.testing.assert_array_equal(node.guard_hi, v.amax(1))
        zero = graph[node.inputs[0]].zero_point
        assert node.input_lo == min(source.min(), zero)
        assert node.input_hi == max(source.max(), zero)
    guarded = Golden(graph, "zero", "zero").run(codes)
    assert torch.equal(guarded.outputs["g"], outputs["g"])
    assert not any(count.any() for count in guarded.output_violations.values())
    assert not any(count.any() for count in guarded.input_violations.values())


@pytest.mark.parametrize("bits", [2, 8])
@pytest.mark.parametrize("group", ["a", "d"], ids=["unsigned", "signed"])
def test_activations_are_quantized_as_brevitas_does(group, bits):
    """Values and gradients, of the tensor and of the learnt scale."""
    net = Network("two", (3, 4, 4))
    net.dense("d", net.conv("a", "image", 2, 3), 10)
    quantized = QuantizedNetwork(net, {"image": 1.0, "a": 1.7, "d": 2.3}, bits, 8)
    reference = quantized.quantizers[group]
    values = torch.randn(4, 2, 30, 30, generator=torch.Generator().manual_seed(1)) * 2
    if group == "a":
        values = values.relu()
    towards = torch.randn(values.shape, generator=torch.Generator().manual_seed(2))

    def gradients(quantize):
        given = values.clone().requires_grad_()
        reference.zero_grad()
        out = quantize(given)
        (out * towards).sum().backward()
        (scale,) = reference.parameters()
        return out.detach(), given.grad, scale.grad.clone()

    lowest = 0 if group == "a" else -(1 << bits - 1)
    ours = gradients(
        lambda x: FakeQuantize.apply(
            x, reference.act_quant.scale(), lowest, lowest + (1 << bits) - 1
        )
    )
    theirs = gradients(reference)
    assert torch.equal(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1])
    torch.testing.assert_close(ours[2], theirs[2], rtol=1e-4, atol=1e-3)
    assert ours[2] != 0
