"""A small model and its accelerator in a folder without CIFAR-10."""

import pytest

from holdfast.base.files import cache_folder
from holdfast.nn.data import cifar
from holdfast.nn.networks.spec import Network
from tests.fault.in_process import POOL, in_this_process
from tests.fault.tiny import CONFIG
from tests.random_graph import random_graph


@pytest.fixture
def place(tmp_path, monkeypatch):
    net = Network("small")
    x = net.pool("avgpool", "shrink", "image", 4, 4)
    x = net.conv("conv", x, 4, 3, 2)
    net.dense("logits", x, 10)
    random_graph(net, seed=2).save(tmp_path / "small.safetensors")
    config = CONFIG.with_(act_depth=2048, weight_depth=512, acc_depth=256)
    (tmp_path / "chip.toml").write_text(config.to_toml())
    monkeypatch.delenv("HOLDFAST_DATA", raising=False)
    monkeypatch.setattr(cifar, "_SHARED", tmp_path / "absent")
    monkeypatch.setattr(POOL, in_this_process)
    # All that is compiled lies with that of other tests.
    shared = cache_folder("cache").resolve()
    shared.mkdir(parents=True, exist_ok=True)
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "cache").symlink_to(shared)
    monkeypatch.delenv("HOLDFAST_CACHE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path
