"""Expected numbers: MLPerf Tiny (Banbury et al. 2021) and He et al. 2016."""

import pytest
import torch

from gen.errors import HoldfastError
from nn.networks import FloatNetwork, Network, network, tensor_groups, weighted
from nn.random_graph import random_graph


@pytest.mark.parametrize(("name", "macs"), [("resnet8", 12_501_632), ("resnet20", 40_551_040)])
def test_macs(name, macs):
    assert random_graph(name).macs == macs


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
