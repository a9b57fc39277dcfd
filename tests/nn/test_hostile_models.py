"""A damaged or hostile model file is a sentence, or a graph that can be compiled."""

import pytest

from holdfast.nn.networks.spec import Network
from tests.nn.mutations import run_survey
from tests.random_graph import random_graph


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two networks with every kind of node between them."""
    folder = tmp_path_factory.mktemp("models")
    first = Network("first", (3, 8, 8))
    x = first.conv("stem", "image", 4, 3)
    y = first.conv("deep", x, 6, 3, 2, activation="none")
    x = first.add("sum", y, first.shortcut("short", x, 6, 2))
    first.dense("logits", first.pool("avgpool", "mean", x, 4, 4), 10)
    second = Network("second_w0.5", (2, 6, 6))
    x = second.conv("a", "image", 4, 3)
    y = second.pool("maxpool", "b", x, 3, 1, 1)
    z = second.concat("c", x, y)
    second.dense("d", second.pool("avgpool", "e", z, 2, 2), 3)
    paths = [folder / "first", folder / "second"]
    random_graph(first, 1).save(paths[0])
    random_graph(second, 2, 4, 5, 0, "floor").save(paths[1])
    return paths


@pytest.mark.parametrize("count", [2000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_mutants(models, count, tmp_path):
    found = run_survey("tests.nn.hostile_models", count, tmp_path, *models)
    assert not found["wrong"], "\n".join(found["wrong"][:5])
    assert found["taken"] + found["refused"] == count
    assert found["taken"] > count // 20
    assert not found["strangers"]
    assert found["peak"] < 1e9
