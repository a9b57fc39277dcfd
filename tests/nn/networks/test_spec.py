"""Expected numbers: MLPerf Tiny (Banbury et al. 2021) and He et al. 2016."""

import pytest
import torch

from holdfast.base.errors import HoldfastError
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.registry import network, network_names
from holdfast.nn.networks.spec import Network, narrowed, tensor_groups, weighted
from tests.random_graph import random_graph


@pytest.mark.parametrize(("name", "macs"), [("resnet8", 12_501_632), ("resnet20", 40_551_040)])
def test_macs(name, macs):
    assert random_graph(name).macs == macs


@pytest.mark.long
def test_wfttnet_size():
    """Counted in the authors' code: 2,712,590 parameters and 919.4 M FLOPs, two of them a MAC."""
    net = FloatNetwork(network("wfttnet"))
    assert sum(parameter.numel() for parameter in net.parameters()) == 2_712_590
    assert round(2 * random_graph("wfttnet").macs / 1e6, 1) == 919.4


def test_windows_begin_at_the_offset():
    net = Network("tiny", (1, 5, 6))
    net.conv("a", "image", 1, 3, 2, "none", offset=2, norm="none")
    assert net.shapes()["a"] == (1, 2, 2)
    float_net = FloatNetwork(net)
    weight = float_net.layers["a"].conv.weight.data
    x = torch.arange(30.0).reshape(1, 1, 5, 6)
    # centre and last tap: padding of 1, so output (0, 0) is centred on pixel (2, 2)
    weight.zero_()
    weight[0, 0, 1, 1], weight[0, 0, 2, 2] = 1, 100
    expected = [[14 + 2100, 16 + 2300], [26, 28]]
    assert float_net.tensors(x)["a"][0, 0].tolist() == expected


def test_relu_alone_has_its_own_encoding():
    net = Network("tiny", (3, 8, 8))
    a = net.conv("a", "image", 4, 3, activation="none")
    b = net.relu("b", a)
    groups = tensor_groups(net)
    assert (groups[a].non_negative, groups[b].non_negative) == (False, True)
    x = torch.randn(1, 3, 8, 8)
    values = FloatNetwork(net).eval().tensors(x)
    assert torch.equal(values[b], values[a].clamp(min=0)) and values[a].min() < 0


def test_resnet20_weights():
    shapes = [layer.weight.shape for layer in random_graph("resnet20").weighted()]
    assert len(shapes) == 20
    assert sum(shape.numel() for shape in map(torch.Size, shapes)) == 268_336


def test_resnet8_layers():
    net = FloatNetwork(network("resnet8"))
    convolutions = sum(m.conv.weight.numel() for m in net.layers.values())
    # 78,666 parameters in MLPerf Tiny: with 7 biases and batch norms of 4 x 16..64 channels
    assert convolutions == 432 + 2 * 2304 + 4608 + 9216 + 512 + 18432 + 36864 + 2048 + 640
    assert len(list(weighted(network("resnet8")))) == 10


def test_option_a_appends_zero_channels():
    net = Network("tiny", (2, 4, 4))
    net.shortcut("s", "image", 3, 2)
    x = torch.arange(32.0).reshape(1, 2, 4, 4)
    y = FloatNetwork(net).tensors(x)["s"]
    assert torch.equal(y[0, :, 1, 0], torch.tensor([8.0, 24.0, 0.0]))


def test_concatenated_tensors_share_an_encoding():
    net = Network("tiny", (3, 8, 8))
    a = net.conv("a", "image", 4, 3)
    b = net.conv("b", "image", 4, 3, activation="none")
    c = net.pool("maxpool", "c", b, 3, 1, 1)
    net.concat("joined", a, c)
    groups = tensor_groups(net)
    assert {groups[name].key for name in ("a", "b", "c", "joined")} == {"a"}
    assert not groups["a"].non_negative


def test_unknown_network():
    with pytest.raises(HoldfastError, match="unknown network 'alexnot'; known are resnet8, "):
        network("alexnot")


def test_widths():
    net = network("mobilenetv2_w0.25")
    assert net.name == "mobilenetv2_w0.25"
    shapes = net.shapes()
    # a quarter of 32, of 6 * 24 and of 1280
    assert shapes["stem"] == (8, 32, 32)
    assert shapes["block3_depthwise"] == (36, 32, 32)
    assert shapes["head"] == (320, 4, 4)
    assert shapes["logits"] == (10, 1, 1)
    assert narrowed(network("resnet18"), 0.125) == network("resnet18_w0.125")
    # halves are rounded up, and there is at least one channel
    assert network("lenet5_w0.25").shapes()["conv1"] == (2, 28, 28)
    assert network("lenet5_w0.02").shapes()["conv1"] == (1, 28, 28)
    assert narrowed(network("lenet5"), 1).name == "lenet5"


@pytest.mark.parametrize("name", network_names())
def test_half_the_width_computes(name):
    net = FloatNetwork(network(f"{name}_w0.5")).eval()
    assert net(torch.rand(1, *net.spec.input_shape)).shape == (1, 10)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet8_wide", "unknown network 'resnet8_wide'"),
        ("resnet8_w", "unknown network 'resnet8_w'"),
        ("resnet8_w0", "width must be from 1/64 to 4, not 0"),
        ("resnet8_winf", "unknown network 'resnet8_winf'"),
        ("wfttnet_w0.33", "width 0.33 does not fit wfttnet"),
    ],
)
def test_widths_that_are_none(name, message):
    with pytest.raises(HoldfastError, match=message):
        network(name)
