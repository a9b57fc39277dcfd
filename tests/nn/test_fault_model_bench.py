"""The benchmark of fault models writes what others read."""

import json

import pytest

from holdfast.base.command import run
from tests.bench import faultmodels


@pytest.mark.long
def test_ratios_by_model(tmp_path, monkeypatch):
    options = ["--network", "lenet5", "--batch", "4", "--images", "4", "--repeats", "1"]
    monkeypatch.setattr("sys.argv", ["faultmodels", *options, "--output", str(tmp_path)])
    assert run(faultmodels.app) == 0
    found = json.loads((tmp_path / "faultmodels.json").read_text())
    assert set(found) == {*faultmodels.RATES, "single-flip"}
    for entry in found.values():
        assert set(entry) == {"rate", "train_pass_ratio", "evaluation_ratio"}
        assert all(entry[name] > 0 for name in ("train_pass_ratio", "evaluation_ratio"))
    settings = json.loads((tmp_path / "faultmodels_settings.json").read_text())
    assert settings["network"] == "lenet5" and settings["batch"] == 4


@pytest.mark.parametrize("name", ["batch", "repeats", "images", "threads"])
def test_mistakes_end_in_one_sentence(name, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["faultmodels", f"--{name}", "0"])
    assert run(faultmodels.app) == 2
    assert capsys.readouterr().err == f"{name} must be 1 to 1,000,000, not 0.\n"
