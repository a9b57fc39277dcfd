"""The shipped networks: whole, small, and as accurate as they say."""

import pytest
import torch

from holdfast.nn.data.cifar import find_data
from holdfast.nn.data.cifar import test_images as quick_images
from holdfast.nn.graph.graph import Graph
from holdfast.nn.graph.shipped import shipped
from holdfast.nn.training.evaluate import integer_classes

LEAST = {"resnet8": {"JPEG-q75": 83.0, "exact-932": 85.0},
         "resnet20": {"JPEG-q75": 88.0, "exact-932": 89.0}}  # fmt: skip
# Points that quantization may cost on JPEG-q75.
COST = 0.5
MACS = {"resnet8": 12_501_632, "resnet20": 40_551_040}


@pytest.fixture(params=sorted(shipped()))
def name(request) -> str:
    return request.param


def test_it_is_small_and_whole(name):
    path = shipped()[name]
    assert path.stat().st_size < 300_000
    graph = Graph.load(path)
    assert name == f"{graph.network}_int8"
    assert (graph.act_bits, graph.weight_bits, graph.multiplier_bits) == (8, 8, 16)
    assert graph.macs == MACS[graph.network]
    assert max(graph.accumulator_bits(node) for node in graph.weighted()) <= 24


def test_it_says_how_accurate_it_is(name):
    graph = Graph.load(shipped()[name])
    story = graph.provenance
    assert story["command"].startswith(f"nox -s train -- --network {graph.network} ")
    by_form = {form: {entry["data"]: entry for entry in entries}
               for form, entries in story["accuracy"].items()}  # fmt: skip
    for data, least in LEAST[graph.network].items():
        integer = by_form["integer"][data]
        assert integer["low"] < integer["percent"] < integer["high"]
        assert integer["percent"] >= least
    percent = {form: by_form[form]["JPEG-q75"]["percent"] for form in by_form}
    assert by_form["integer"]["JPEG-q75"]["images"] == 10_000
    assert abs(percent["integer"] - percent["fake_quantized"]) <= 0.1
    assert abs(percent["integer"] - percent["float"]) <= COST
    assert story["agreement"]["JPEG-q75"] >= 99


def test_guard_bounds_are_learnt(name):
    for node in Graph.load(shipped()[name]).weighted():
        assert (node.guard_lo > -(1 << 15)).all()
        assert (node.guard_hi < (1 << 15) - 1).all()


@pytest.mark.long
def test_accuracy_is_as_recorded(name):
    if find_data() is None:
        pytest.skip("no CIFAR-10 data")
    graph = Graph.load(shipped()[name])
    test = quick_images()
    if test.name != "exact-932":
        pytest.skip("no exact-932 images")
    recorded = {entry["data"]: entry for entry in graph.provenance["accuracy"]["integer"]}
    right = integer_classes(graph, test.images) == torch.from_numpy(test.labels).long()
    assert round(100 * float(right.double().mean()), 2) == recorded["exact-932"]["percent"]
