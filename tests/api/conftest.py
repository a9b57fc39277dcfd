"""A small model and its accelerator in a folder without CIFAR-10."""

import pytest

from holdfast.nn.data import cifar
from holdfast.nn.networks.spec import Network
from tests.fault.tiny import CONFIG
from tests.random_graph import random_graph


@pytest.fixture
def place(tmp_path, tmp_path_factory, monkeypatch):
    net = Network("small")
    x = net.pool("avgpool", "shrink", "image", 4, 4)
    x = net.conv("conv", x, 4, 3, 2)
    net.dense("logits", x, 10)
    random_graph(net, seed=2).save(tmp_path / "small.safetensors")
    config = CONFIG.with_(act_depth=2048, weight_depth=512, acc_depth=256)
    (tmp_path / "chip.toml").write_text(config.to_toml())
    monkeypatch.delenv("HOLDFAST_DATA", raising=False)
    monkeypatch.setattr(cifar, "_SHARED", tmp_path / "absent")
    # Every test uses the same compiled model.
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path
