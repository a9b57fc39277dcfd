"""Networks and data that do not belong together are told before work begins."""

from types import SimpleNamespace

import numpy as np
import pytest

from holdfast.base.command import run
from holdfast.base.errors import HoldfastError
from holdfast.explore import exploration
from holdfast.explore.measurements.accuracy import AccuracyMeasurement
from holdfast.nn.data.choice import images_for
from holdfast.nn.data.images import ImageSet, check_network, class_name
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.registry import network
from holdfast.nn.training import ftt, ptq, train
from holdfast.nn.training.checkpoint import write_checkpoint


def images(count, *labels, classes=0):
    given = np.array(labels, np.uint8)
    return ImageSet("some", np.zeros((count, 3, 32, 32), np.uint8), given, classes)


@pytest.fixture
def eleven(tmp_path, monkeypatch):
    """Data with an eleventh class, in the folder where commands run."""
    x, y = np.zeros((200, 3, 32, 32), np.uint8), np.arange(200) % 11
    np.savez(tmp_path / "c.npz", train_x=x, train_y=y, test_x=x, test_y=y)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "c.npz"


TOLD = "network lenet5 has 10 classes, a label of the official images is 10; they count from 0."


def test_classes_and_shapes():
    check_network("n", (3, 32, 32), 10, images(2, 0, 9), images(2, 9, 9, classes=10))
    check_network("n", (3, 32, 32), 100, images(2, 0, 9))
    check_network("n", (3, 32, 32), 2, ImageSet("x", np.zeros((1, 3, 32, 32), np.uint8), None))
    for found, message in (
        (images(2, 0, 10), "a label of the some images is 10"),
        (images(2, 0, 9, classes=12), "network n has 10 classes, the some images have 12"),
    ):
        with pytest.raises(HoldfastError, match=message):
            check_network("n", (3, 32, 32), 10, images(1, 1), found)
    with pytest.raises(HoldfastError, match=r"takes images of shape \(1, 28, 28\), those at hand"):
        check_network("n", (1, 28, 28), 10, images(1, 1))


def test_names_are_for_ten_classes():
    assert [class_name(3, classes) for classes in (10, 9, 100)] == ["cat", "3", "3"]


@pytest.mark.parametrize("command", [train, ptq, ftt])
def test_training_commands_say_it_first(eleven, capsys, monkeypatch, command):
    state = FloatNetwork(network("lenet5")).state_dict()
    write_checkpoint(eleven.parent / "x.pt", {"network": state})
    more = ["--checkpoint", "x.pt"] if command is ptq else []
    options = ["--network", "lenet5", "--data", str(eleven), *more]
    monkeypatch.setattr("sys.argv", ["x", *options])
    assert run(command.app) == 2
    assert capsys.readouterr().err == TOLD + "\n"
    assert not (eleven.parent / "build").exists()


def test_simulations_and_explorations_say_it_first(eleven, monkeypatch):
    nodes = [SimpleNamespace(shape=(3, 32, 32))]
    graph = SimpleNamespace(network="lenet5", classes=10, nodes=nodes)
    monkeypatch.setattr(exploration, "load", lambda _: graph)
    for work in (
        lambda: images_for(graph, eleven, 200, 1),
        lambda: exploration.check_data([AccuracyMeasurement(eleven, "off", eleven)], eleven),
    ):
        with pytest.raises(HoldfastError) as caught:
            work()
        assert str(caught.value) == TOLD
