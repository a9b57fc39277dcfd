"""Fault models against the formulas and counts of their papers."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from holdfast.base.errors import HoldfastError
from holdfast.nn.errors.base import ErrorModel, bernoulli_positions
from holdfast.nn.errors.literature import (
    ActivationBitFlips,
    MacBitBias,
    SingleActivationFlip,
    StuckWeightBits,
    StuckWeightCells,
    WeightBitFlips,
)
from holdfast.nn.errors.registry import fault_model
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.registry import network
from holdfast.nn.networks.spec import Network, weighted
from holdfast.nn.networks.zoo import spared_by_released_code
from holdfast.nn.quantization.clipping import clips
from holdfast.nn.quantization.quantized import QuantizedNetwork


@pytest.mark.parametrize("rate", [0.001, 0.3, 0.95])
def test_positions_are_independent_trials(rate):
    generator = torch.Generator().manual_seed(5)
    count, runs = 1000, 400
    hits = np.zeros(count, int)
    pairs = 0
    for _ in range(runs):
        positions = bernoulli_positions(count, rate, generator).numpy()
        assert (np.diff(positions) > 0).all()
        assert positions.size == 0 or (positions[0] >= 0 and positions[-1] < count)
        hits[positions] += 1
        pairs += int((np.diff(positions) == 1).sum())
    total = hits.sum()
    low, high = stats.binom.interval(1 - 1e-6, count * runs, rate)
    assert low <= total <= high
    # neighbours succeed together as often as independent trials do
    spread = 6 * math.sqrt(runs * count * rate**2) + 6
    assert abs(pairs - runs * (count - 1) * rate**2) <= spread * (1 + 2 * rate)
    # no position is preferred
    expected = runs * rate
    if expected > 5:
        statistic = ((hits - expected) ** 2 / (expected * (1 - rate))).sum()
        assert stats.chi2.sf(statistic, count) > 1e-6


def test_positions_at_the_ends():
    generator = torch.Generator().manual_seed(1)
    assert bernoulli_positions(10, 0.0, generator).tolist() == []
    assert bernoulli_positions(0, 0.5, generator).tolist() == []
    assert bernoulli_positions(4, 1.0, generator).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("macs", "rate", "expected"),
    [(9, 1e-4, 9.0e-4), (25, 3e-4, 7.5e-3), (180, 1e-4, 1.8e-2), (576, 3e-4, 0.159),
     (4608, 1e-4, 0.369), (4608, 3e-4, 0.749), (4608, 3e-5, 0.129), (20, 3e-6, 6e-5)],
)  # fmt: skip
def test_element_rates_of_the_paper(macs, rate, expected):
    assert MacBitBias(rate).element_rate(macs) == pytest.approx(expected, rel=0.01)


def test_rounded_rates_of_the_released_code():
    # 0.369 is drawn as 1 of 2, 0.749 as 1 of 1
    assert MacBitBias(1e-4, rounded_rate=True).element_rate(4608) == 0.5
    assert MacBitBias(3e-4, rounded_rate=True).element_rate(4608) == 1.0
    # 17 and 83 of 1250
    assert StuckWeightCells(0.08, rounded_rate=True).rates() == (17 / 1250, 83 / 1250)
    assert StuckWeightCells(0.08).rates() == pytest.approx((0.01304, 0.06696))


def test_layers_that_the_released_code_misses():
    """14 of the 57 convolutions of MobileNet-V2, and 36 % of its faulty elements at 1e-4."""
    spec = network("mobilenetv2")
    spared = spared_by_released_code(spec)
    assert len(set(spared)) == 14
    shapes = spec.shapes()
    model = MacBitBias(1e-4, spared=spared)
    expected = {"all": 0.0, "spared": 0.0}
    for layer in weighted(spec):
        if layer.op == "conv":
            macs = shapes[layer.inputs[0]][0] // layer.groups * layer.kernel**2
            faulty = math.prod(shapes[layer.name]) * model.element_rate(macs)
            expected["all"] += faulty
            expected["spared"] += faulty * (layer.name in spared)
    assert expected["all"] == pytest.approx(8997, abs=1)
    assert expected["spared"] == pytest.approx(3270, abs=1)
    values = torch.ones(1, 8, 4, 4)
    assert torch.equal(MacBitBias(1.0, spared=["a"]).sums(values, 1, 8, "a"), values)
    assert not torch.equal(MacBitBias(1.0, spared=["a"]).sums(values, 1, 8, "b"), values)
    assert spared_by_released_code(network("resnet18")) == []


def test_bias_is_a_power_of_two_steps():
    # the largest is 3.2: S = 2, the step 4 / 128
    values = torch.zeros(64, 4, 16, 16)
    values[0, 0, 0, 0] = 3.2
    moved = MacBitBias(0.25, seed=3).sums(values, 1, 8, "a") * 32
    found, counts = np.unique(moved.flatten()[1:].numpy(), return_counts=True)
    steps = [sign * 2**b for sign in (1, -1) for b in range(8)]
    assert set(found) == {0, *steps}
    faulty = counts[found != 0]
    assert stats.chisquare(faulty).pvalue > 1e-6
    low, high = stats.binom.interval(1 - 1e-6, values.numel(), 0.25)
    assert low <= faulty.sum() <= high
    within = MacBitBias(0.25, seed=3, bound="largest").sums(values, 1, 8, "a")
    assert within.max() <= 3.2 and within.min() == pytest.approx(-3.2)


def test_sums_keep_their_order_in_memory():
    values = torch.randn(8, 6, 5, 5).contiguous(memory_format=torch.channels_last)
    before = values.clone()
    moved = MacBitBias(0.01, seed=1).sums(values, 1, 8, "a")
    assert torch.equal(values, before)
    changed = (moved != values).sum()
    assert 1 <= changed <= 40


def test_stuck_cells():
    codes = torch.linspace(-127, 127, 200_000).round().reshape(200, 1000, 1, 1)
    found = StuckWeightCells(0.2, seed=2, stuck_at_1=0.25).weights(codes, 8)
    cell = {1: {}, -1: {}}
    for sign in (1, -1):
        true = (sign * codes).clamp(min=0)
        cell[sign] = {"right": true, "one": torch.full_like(true, 127.0), "zero": true * 0}
    allowed = [p - m for p in cell[1].values() for m in cell[-1].values()]
    assert torch.stack([found == value for value in allowed]).any(0).all()
    # a weight of 60 reads 127 when its positive cell is stuck at 1 and the other is not
    positive = (codes > 50) & (codes < 70)
    share = ((found == 127) & positive).sum() / positive.sum()
    assert share == pytest.approx(0.05 * 0.95, rel=0.15)
    # it reads 0 when its positive cell is stuck at 0, or both are stuck at 1
    share = ((found == 0) & positive).sum() / positive.sum()
    assert share == pytest.approx(0.15 * 0.95 + 0.05 * 0.05, rel=0.15)


def test_stuck_bits():
    codes = torch.full((100, 100, 3, 3), 85.0)  # 1010101
    found = StuckWeightBits(0.1, seed=4, stuck_at_1=0.16).weights(codes, 8).long()
    positive = found.clamp(min=0)[found > 0]
    # bit 6 of the positive cell is lost with 0.1 * 0.84; the negative cell reaches 64 with 0.016
    kept = ((positive & 64) > 0).double().mean()
    assert 0.85 < kept < 0.95
    assert torch.equal(StuckWeightBits(0.0).weights(codes, 8), codes)
    all_ones = StuckWeightBits(1.0, stuck_at_1=1.0).weights(codes, 8)
    assert torch.equal(all_ones, torch.zeros_like(codes))  # both cells hold 127


def test_bits_stuck_at_one_and_at_zero():
    zeros = torch.zeros(100, 100, 3, 3)
    found = StuckWeightBits(0.1, seed=4, stuck_at_1=1.0).weights(zeros, 8)
    # Seven bits of each cell are 1 with 0.1 each; the cells differ unless they do in no bit.
    assert (found != 0).double().mean() == pytest.approx(1 - (0.9**2 + 0.1**2) ** 7, abs=0.01)
    assert found.abs().max() <= 127
    found = StuckWeightBits(0.1, seed=4, stuck_at_1=0.0).weights(zeros + 127, 8)
    assert found.mean() == pytest.approx(127 * 0.9, rel=0.005)
    assert (found == 127).double().mean() == pytest.approx(0.9**7, abs=0.01)


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_activation_bit_flips(bits):
    half = 1 << bits - 1
    codes = torch.randint(-half, half, (50, 8, 10, 10)).float()
    scale, zero_point = torch.tensor(0.25), -half

    def flipped(rate, seed=0):
        model = ActivationBitFlips(rate, seed)
        values = model.stored("a", (codes - zero_point) * scale, scale, zero_point, bits)
        found = values / scale + zero_point
        assert found.min() >= -half and found.max() < half
        return np.bitwise_xor(codes.long().numpy(), found.long().numpy()) & (2 * half - 1)

    assert not flipped(0.0).any()
    assert (flipped(1.0) == 2 * half - 1).all()
    masks = flipped(0.05, 6)
    low, high = stats.binom.interval(1 - 1e-6, codes.numel(), 0.05)
    for bit in range(bits):
        assert low <= (masks >> bit & 1).sum() <= high


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_weight_bit_flips(bits):
    top = (1 << bits - 1) - 1
    codes = torch.randint(-top, top + 1, (50, 40, 3, 3)).float()
    assert torch.equal(WeightBitFlips(0.0).weights(codes, bits), codes)
    # all bits flipped is the one's complement
    assert torch.equal(WeightBitFlips(1.0).weights(codes, bits), -codes - 1)
    found = WeightBitFlips(0.05, seed=6).weights(codes, bits)
    flipped = np.bitwise_xor(codes.long().numpy(), found.long().numpy()) & ((1 << bits) - 1)
    count = sum(((flipped >> b) & 1).sum() for b in range(bits))
    low, high = stats.binom.interval(1 - 1e-6, codes.numel() * bits, 0.05)
    assert low <= count <= high


def small() -> Network:
    net = Network("small", (3, 8, 8))
    a = net.conv("a", "image", 8, 3)
    b = net.conv("b", a, 8, 3, activation="none", groups=2)
    c = net.add("c", b, a)
    m = net.pool("maxpool", "m", c, 2, 2)
    net.dense("d", net.pool("avgpool", "p", m, 4, 4), 10)
    return net


@pytest.fixture
def quantized():
    torch.manual_seed(3)
    net = FloatNetwork(small())
    pixels = torch.rand(16, 3, 8, 8)
    net(pixels)
    largest = clips(net.spec, net.eval().tensors(pixels), 8)
    found = QuantizedNetwork(net.spec, largest, 8, 8)
    found.load_state_dict(net.state_dict(), strict=False)
    return found.eval(), pixels


@pytest.mark.parametrize(
    "model",
    [ErrorModel(), MacBitBias(0), StuckWeightCells(0), StuckWeightBits(0), WeightBitFlips(0),
     ActivationBitFlips(0)],
    ids=lambda model: type(model).__name__,
)  # fmt: skip
def test_without_faults_nothing_changes(quantized, model):
    net, pixels = quantized
    with torch.no_grad():
        assert torch.equal(net(pixels), net(pixels, model))


def test_equal_seeds_give_equal_faults(quantized):
    net, pixels = quantized
    with torch.no_grad():
        runs = [net(pixels, MacBitBias(0.01, seed=seed)) for seed in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_every_tensor_in_memory_but_the_logits_can_be_struck(quantized):
    net, pixels = quantized
    seen = {}

    class Noting(ErrorModel):
        def stored(self, name, values, scale, zero_point, bits):
            codes = values / scale + zero_point
            assert torch.allclose(codes, codes.round(), atol=1e-3)
            assert codes.round().min() >= -128 and codes.round().max() <= 127
            seen[name] = values[0].numel()
            return values

    with torch.no_grad():
        net(pixels, Noting())
    assert seen == net.stored_sizes()


@pytest.mark.parametrize("size", ["4", "4x", "0x4", "17x1", "4x4x4"])
def test_a_wrong_array_is_one_sentence(size):
    with pytest.raises(HoldfastError, match=r"must (name its array|be 1 to 16, not)"):
        fault_model(f"stuck-pes:{size}", 0.1)


def test_stuck_elements_are_of_the_array_that_is_named():
    model = fault_model("stuck-pes:2x16", 1.0)
    model.start({}, 1, 8, torch.device("cpu"))
    assert [stuck[:2] for stuck in model.stuck] == [(r, c) for r in range(2) for c in range(16)]
    whole = fault_model("stuck-pes", 1.0)
    whole.start({}, 1, 8, torch.device("cpu"))
    assert len(whole.stuck) == 64


@pytest.mark.parametrize("uniform", ["bits", "layers"])
def test_a_single_flip_in_every_image(quantized, uniform):
    net, pixels = quantized
    pixels = pixels[:1].expand(3000, -1, -1, -1)
    model = SingleActivationFlip(7, uniform=uniform)
    sizes = net.stored_sizes()
    assert sizes == {"a": 512, "b": 512, "c": 512, "m": 128, "p": 8}
    drawn = []
    model.start(sizes, len(pixels), 8, pixels.device)
    for name, size in sizes.items():
        signed = name == "b"
        scale, zero = torch.tensor(0.5), 0 if signed else -128
        codes = torch.randint(-128, 128, (len(pixels), size, 1, 1)).float()
        found = model.stored(name, (codes - zero) * scale, scale, zero, 8) / scale + zero
        flips = (codes.long() ^ found.long()) & 255
        assert all(bin(mask).count("1") <= 1 for mask in flips.flatten().unique().tolist())
        drawn.append((flips != 0).flatten(1).sum(1))
    assert torch.equal(torch.stack(drawn).sum(0), torch.ones(len(pixels), dtype=torch.int64))
    share = [float(layer.double().mean()) for layer in drawn]
    expected = [512 / 1672] * 3 + [128 / 1672, 8 / 1672] if uniform == "bits" else [0.2] * 5
    assert share == pytest.approx(expected, abs=0.03)


def test_gradients(quantized):
    net, pixels = quantized
    weight = net.layers["a"].conv.weight

    def gradient(model):
        net.zero_grad()
        net(pixels, model).square().sum().backward()
        return weight.grad.clone()

    assert (gradient(MacBitBias(0.3)).abs() > 0).any()
    assert (gradient(ActivationBitFlips(0.01)).abs() > 0).any()
    assert (gradient(StuckWeightCells(0.1)).abs() > 0).any()
    # all bits flipped: no weight is what it was
    assert not gradient(WeightBitFlips(1.0)).any()


@pytest.mark.parametrize(
    "wrong",
    [lambda: MacBitBias(1.5), lambda: StuckWeightCells(-0.1), lambda: WeightBitFlips(2),
     lambda: MacBitBias(0.1, bound="top"), lambda: SingleActivationFlip(uniform="images")],
)  # fmt: skip
def test_bad_settings_are_refused(wrong):
    with pytest.raises(HoldfastError, match="must be"):
        wrong()
