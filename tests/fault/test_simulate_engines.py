"""The main job says the same on both engines."""

import json

import pytest

from fault.simulate import simulate
from gen.config import AcceleratorConfig
from gen.errors import HoldfastError
from nn.networks import Network
from nn.random_graph import random_graph

CONFIG = AcceleratorConfig(
    rows=2, cols=2, act_depth=2048, weight_depth=2048, acc_depth=256, param_depth=32,
    program_depth=8,
)  # fmt: skip


@pytest.fixture
def files(tmp_path):
    spec = Network("small", (3, 32, 32))
    first = spec.conv("first", "image", 4, 1, stride=4)
    second = spec.conv("second", first, 4, 3, stride=4)
    spec.dense("logits", second, 4)
    random_graph(spec, seed=2).save(tmp_path / "small.safetensors")
    (tmp_path / "small.toml").write_text(CONFIG.to_toml())
    return {"network": str(tmp_path / "small.safetensors"), "config": tmp_path / "small.toml"}


def test_same_summary(files, tmp_path):
    summaries = {}
    for engine in ("cocotb", "fast"):
        folder = tmp_path / engine
        code = simulate(
            **files, layers="logits", images=2, faults=1, seed=3, engine=engine,
            roofline=True, output=folder,
        )  # fmt: skip
        assert code == 0
        summaries[engine] = json.loads((folder / "summary.json").read_text())
        assert summaries[engine].pop("engine") == engine
        del summaries[engine]["seconds"]
    assert summaries["fast"] == summaries["cocotb"]
    found = summaries["fast"]
    assert len(found["layers"]) == 2 and found["totals"]["mismatches"] == 0
    assert {fault["effect"] for fault in found["faults"]} >= {"masked", "latent", "hang"}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"engine": "quick"}, "--engine must be one of cocotb, fast, not 'quick'."),
        ({"engine": "fast", "stall": 0.5}, "--stall needs --engine cocotb, not fast."),
        ({"engine": "fast", "replay": "x"}, "--replay needs --engine cocotb, not fast."),
    ],
)
def test_what_the_compiled_engine_cannot_do(files, tmp_path, values, sentence):
    with pytest.raises(HoldfastError) as error:
        simulate(**files, output=tmp_path / "out", **values)
    assert str(error.value) == sentence
    assert not (tmp_path / "out").exists()


def test_listing_simulates_nothing(files, tmp_path, capsys):
    assert simulate(**files, listing=True, output=tmp_path / "out") == 0
    text = capsys.readouterr().out
    assert "conv 3x3 stride 4 padding 1" in text and not (tmp_path / "out").exists()
