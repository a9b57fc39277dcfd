"""An importer is a function of a path, named by the suffix of its files."""

import json

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.explore.measurements.model_faults import ModelFaults
from holdfast.explore.measurements.networks import load
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.graph import ModelError
from holdfast.nn.graph.shipped import load_network, network_file
from holdfast.nn.importers.registry import IMPORTERS
from holdfast.nn.networks.spec import Network
from tests.random_graph import random_graph

CONFIG = AcceleratorConfig(rows=4, cols=4, act_bits=4, weight_bits=4, multiplier_bits=8)


def load_list(path):
    """A made-up format: the channels of convolutions, one after another."""
    try:
        channels = json.loads(path.read_text())
    except ValueError:
        raise ModelError(f"{path} is no list of channels.") from None
    net = Network(path.stem)
    x = net.conv("shrink", "image", 4, 5, 4)
    for index, count in enumerate(channels):
        x = net.conv(f"conv{index}", x, count, 3)
    net.dense("logits", x, 10)
    return random_graph(net, seed=2, act_bits=4, weight_bits=4, multiplier_bits=8)


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setitem(IMPORTERS, ".channels", load_list)
    path = tmp_path / "made_up.channels"
    path.write_text("[6, 5]")
    return path


def test_a_file_of_its_suffix_is_read_wherever_networks_are_named(model):
    graph = load_network(str(model))
    assert [node.shape[0] for node in graph.nodes] == [3, 4, 6, 5, 10]
    assert compile_graph(graph, CONFIG).steps[2].name == "conv1"
    measured = ModelFaults(network_file(str(model)), CONFIG, ("off",), "single-flip", 4, 1, None)
    assert measured.run()["images"] == 4


def test_what_it_refuses_is_one_sentence(model, monkeypatch):
    model.write_text("?")
    with pytest.raises(HoldfastError, match=r"made_up\.channels is no list of channels\.$"):
        load(network_file(str(model)))
    with pytest.raises(HoldfastError, match=r"the path of a \.safetensors or \.channels file"):
        load_network("made_up")
    monkeypatch.delitem(IMPORTERS, ".channels")
    with pytest.raises(HoldfastError, match=r"no whole \.safetensors file"):
        load_network(str(model))
