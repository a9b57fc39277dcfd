"""Quantization without training: every way computes what it says."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from holdfast.base.command import run
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.data.cifar import Cifar10
from holdfast.nn.data.images import ImageSet
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.registry import network
from holdfast.nn.networks.spec import Network
from holdfast.nn.quantization.clipping import clips_on, power_of_two_clips
from holdfast.nn.quantization.quantized import GRANULARITIES, SCALES, fake_quantized
from holdfast.nn.training import ptq
from holdfast.nn.training.checkpoint import write_checkpoint
from tests.nn.settling import settle


@pytest.fixture(scope="module")
def source():
    """A network with settled batch norms of both signs, and images."""
    torch.manual_seed(4)
    spec = Network("block", (3, 16, 16))
    a = spec.conv("a", "image", 8, 3)
    b = spec.add("b", spec.conv("c", a, 8, 3, activation="none"), a)
    spec.dense("g", spec.pool("avgpool", "p", b, 16, 16), 10)
    net = FloatNetwork(spec)
    images = torch.randint(0, 256, (64, 3, 16, 16), dtype=torch.uint8)
    settle(net, images)
    return net.eval(), images.numpy()


def lowered(source, per_tensor, shifts):
    net, images = source
    largest = clips_on(net, images, 8, "max")
    way = SCALES[shifts], GRANULARITIES[per_tensor]
    return fake_quantized(net, largest, 8, 8, *way).integer_graph()


@pytest.mark.parametrize("per_tensor", [False, True], ids=["channel", "tensor"])
@pytest.mark.parametrize("shifts", [False, True], ids=["multiplier", "shifts"])
def test_integers_come_near_the_reals(source, per_tensor, shifts):
    net, images = source
    graph = lowered(source, per_tensor, shifts)
    last = graph.nodes[-1]
    codes = Golden(graph).logits(image_codes(images, 8)).double()
    found = (codes - last.zero_point) * last.scale
    wanted = net(torch.from_numpy(images).float() / 255).detach().double()
    error = (found - wanted).square().mean().sqrt() / wanted.std()
    assert error < (0.15 if shifts or per_tensor else 0.06)


@pytest.mark.parametrize("per_tensor", [False, True])
def test_power_of_two_scales_need_no_multiplier(source, per_tensor):
    graph = lowered(source, per_tensor, shifts=True)
    assert graph.multiplier_bits == 0
    for node in graph.weighted():
        assert (node.multiplier == 1).all()
        assert len(set(node.shift)) == 1 or not per_tensor
        mantissa, _ = np.frexp(node.scale)
        assert mantissa == 0.5
        # the largest weight of the layer, or of a channel, uses its top bit
        assert 64 <= np.abs(node.weight.astype(int)).max() <= 127
    add = graph["b"]
    assert {add.multiplier_a & (add.multiplier_a - 1), add.multiplier_b & (add.multiplier_b - 1)} \
        == {0}  # fmt: skip


def test_power_of_two_clips_are_the_next_ones(source):
    net, _ = source
    given = {"image": 1.0, "a": 255 * 0.3, "c": 127.0, "b": 255 * 3, "p": 255 / 64, "g": 129.0}
    assert power_of_two_clips(net.spec, given, 8) == {
        "image": 255 / 128, "a": 255 * 0.5, "c": 128.0, "b": 255 * 4, "p": 255 / 64, "g": 256.0,
    }  # fmt: skip


def test_shifts_never_have_to_multiply(source):
    """The sum is clipped low, the pooled lower still: their steps would be finer than inputs'."""
    net, _ = source
    given = {"image": 1.0, "a": 1.0, "c": 127.0, "b": 0.01, "p": 1e-6, "g": 1.0}
    found = power_of_two_clips(net.spec, given, 8)
    assert found["c"] == 128.0 and found["b"] == 255.0  # a step of 1 for both
    assert found["p"] == 255 / 256  # sixteen by sixteen
    assert (found["a"], found["g"]) == (255 / 128, 1.0)


@pytest.mark.parametrize("kernel", [2, 3, 5, 6, 7, 14])
def test_steps_of_pooled_tensors_are_powers_of_two(kernel):
    spec = Network("pooled", (3, 28, 28))
    a = spec.conv("a", "image", 4, 3)
    spec.dense("d", spec.pool("avgpool", "p", a, kernel, kernel), 10)
    found = power_of_two_clips(spec, {"image": 1.0, "a": 1020.0, "p": 0.5, "d": 4.0}, 8)
    unit = found["a"] / 255 / kernel**2
    assert unit <= found["p"] / 255 < 2 * unit
    assert np.frexp(found["p"] / 255)[0] == 0.5


@pytest.mark.long(keep=1)
@pytest.mark.parametrize(("act_bits", "weight_bits"), [(8, 8), (3, 5), (2, 2)])
def test_a_cell_network_with_shifts_fits_an_accelerator(act_bits, weight_bits):
    torch.manual_seed(act_bits)
    net = FloatNetwork(network("wfttnet_w0.05"))
    images = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8)
    settle(net, images, biases=True)
    largest = clips_on(net, images.numpy(), act_bits)
    quantized = fake_quantized(net, largest, act_bits, weight_bits, "power-of-two")
    graph = quantized.integer_graph()
    config = AcceleratorConfig(
        act_bits=act_bits, weight_bits=weight_bits, multiplier_bits=0, act_depth=65536
    )
    compile_graph(graph, config, parts=True)


@pytest.mark.long
def test_the_command_measures_every_way(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    write_checkpoint(Path("x.pt"), {"network": FloatNetwork(network("lenet5_w0.5")).state_dict()})
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (32, 3, 32, 32)).astype(np.uint8)
    y = rng.integers(0, 10, 32).astype(np.uint8)
    np.savez("c.npz", train_x=x, train_y=y, test_x=x, test_y=y)
    options = ["--network", "lenet5_w0.5", "--checkpoint", "x.pt", "--data", "c.npz",
               "--images", "20"]  # fmt: skip

    def widths(*more):
        monkeypatch.setattr("sys.argv", ["ptq", *options, *more])
        assert run(ptq.app) == 0
        rows = json.loads((tmp_path / "build/ptq/lenet5_w0.5.json").read_text())["rows"]
        assert all(row["accuracy"][0]["images"] == 20 for row in rows if "accuracy" in row)
        names = "weight_bits", "act_bits", "clip", "weights", "scales"
        ways = {tuple(row[name] for name in names) for row in rows}
        found = {way[:2] for way in ways}
        assert len(rows) == len(ways) == len(found) * 3 * 2 * 2
        return found

    assert widths("--bits", "8", "--bits", "3") == {(8, 8), (3, 3)}
    assert widths("--weight-bits", "4", "--act-bits", "8", "--act-bits", "6") == {(4, 8), (4, 6)}


def test_the_widths_reach_the_graph(source, tmp_path, monkeypatch):
    """Weights and activations each have their own width."""
    net, images = source
    seen = []

    def classes(graph, pixels):
        seen.append((graph.weight_bits, graph.act_bits))
        return torch.zeros(len(pixels), dtype=torch.int64)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ptq, "network", lambda _: net.spec)
    monkeypatch.setattr(ptq, "integer_classes", classes)
    write_checkpoint(Path("x.pt"), {"network": net.state_dict()})
    some = ImageSet("official", images, np.zeros(len(images), np.uint8))
    monkeypatch.setattr(ptq, "load_cifar10", lambda _: Cifar10(some, (some,)))
    options = ["--checkpoint", "x.pt", "--weight-bits", "4", "--act-bits", "7"]
    monkeypatch.setattr("sys.argv", ["ptq", *options])
    assert run(ptq.app) == 0
    assert set(seen) == {(4, 7)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bits", "1"], "--bits must be 2 to 8, not 1"),
        (["--network", "nope"], "unknown network 'nope'"),
        (["--checkpoint", "nowhere.pt"], "there is no nowhere.pt: train resnet8 first"),
        (["--checkpoint", __file__], "is damaged, or no checkpoint of Holdfast"),
        (["--images", "0"], "--images must be 1 to 10,000, not 0"),
        (["--act-bits", "9"], "--act-bits must be 2 to 8, not 9"),
        (["--weight-bits", "1"], "--weight-bits must be 2 to 8, not 1"),
        (["--threads", "0"], "--threads must be 1 to 1,024, not 0"),
        (["--seed", "-1"], "--seed must be 0 to 2147483647, not -1"),
    ],
)
def test_mistakes_end_in_one_sentence(options, message, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["ptq", *options])
    assert run(ptq.app) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_output_is_tried_first(tmp_path, capsys, monkeypatch):
    state = FloatNetwork(network("lenet5_w0.5")).state_dict()
    write_checkpoint(tmp_path / "x.pt", {"network": state})
    x, y = np.zeros((2, 3, 32, 32), np.uint8), np.zeros(2, np.uint8)
    np.savez(tmp_path / "c.npz", train_x=x, train_y=y, test_x=x, test_y=y)
    monkeypatch.setattr(ptq, "clips_on", None)
    options = ["--network", "lenet5_w0.5", "--checkpoint", str(tmp_path / "x.pt"),
               "--data", str(tmp_path / "c.npz"), "--output", str(tmp_path / "x.pt")]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["ptq", *options])
    assert run(ptq.app) == 2
    assert "cannot make folder" in capsys.readouterr().err
