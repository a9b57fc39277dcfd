"""The study of fault-tolerant training, on a network and images that take seconds."""

import errno
import json
import os
import re
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from typer.testing import CliRunner

from holdfast.base.command import run
from holdfast.base.errors import HoldfastError
from holdfast.base.sources import sources
from holdfast.nn.networks.registry import network
from holdfast.nn.training import ftt, ftt_trainings

OPTIONS = ["--network", "lenet5_w0.5", "--seeds", "2", "--epochs", "2", "--fault-epochs", "1",
           "--epoch-images", "128", "--learning-rate", "0.02", "--threads", "1"]  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (256, 3, 32, 32)).astype(np.uint8)
    x[::2] //= 4
    y = np.arange(256, dtype=np.uint8) % 2
    np.savez(tmp_path / "c.npz", train_x=x[:192], train_y=y[:192], test_x=x[192:], test_y=y[192:])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ftt, "LEVELS", {"mibb": (0.01,), "adsaf": (0.08, 1.0)})
    return tmp_path


def study(*more):
    outcome = CliRunner().invoke(ftt.app, [*OPTIONS, "--data", "c.npz", *more])
    if outcome.exception is not None and not isinstance(
        outcome.exception, SystemExit | HoldfastError
    ):
        raise outcome.exception
    return outcome


@pytest.mark.long
def test_every_cell_is_done_once_and_summed_up(place, monkeypatch):
    assert study().exit_code == 0
    summary = json.loads((place / "build/ftt/summary.json").read_text())
    assert len(summary["rows"]) == 3 * 4
    for row in summary["rows"]:
        assert len(row["hits"]) == 2 and row["images"] == 64
        assert row["low"] <= row["percent"] <= row["high"]
        assert ("gain" in row) == (row["training"] != "clean")
    one = study("--seeds", "1", "--output", "one")
    assert one.exit_code == 0
    assert all(
        "gain" not in row for row in json.loads((place / "one/summary.json").read_text())["rows"]
    )

    def never(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(ftt_trainings, "fit", never)
    monkeypatch.setattr(ftt, "network_classes", never)
    assert study().exit_code == 0
    assert json.loads((place / "build/ftt/summary.json").read_text()) == summary
    with pytest.raises(AssertionError, match="trained again"):
        study("--adsaf-rate", "0.09")


def test_hits_are_counted_under_the_faults_of_the_row(place, monkeypatch):
    def by_faults(net, images, batch, faults):
        share = 0.0 if faults is None else faults.rate
        return (torch.arange(len(images)) >= share * len(images)).long() * torch.arange(64) % 2

    monkeypatch.setattr(ftt, "network_classes", by_faults)
    study()
    rows = json.loads((place / "build/ftt/summary.json").read_text())["rows"]
    hits = {(row["training"], row["faults"], row["rate"]): row["hits"] for row in rows}
    for training in ("clean", "mibb", "adsaf"):
        # all classes are right, but that the first images, as many as the rate says, are called 0
        assert hits[training, "none", 0.0] == [64, 64]
        assert hits[training, "adsaf", 0.08] == [61, 61]
        assert hits[training, "adsaf", 1.0] == [32, 32]


@pytest.mark.long
def test_what_is_interrupted_goes_on(place, monkeypatch):
    whole = place / "whole"
    study("--output", str(whole))
    kept, calls = ftt.network_classes, []

    def stop(*arguments, **options):
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return kept(*arguments, **options)

    monkeypatch.setattr(ftt, "network_classes", stop)
    assert study().exit_code == 130
    monkeypatch.setattr(ftt, "network_classes", kept)
    study()
    assert (place / "build/ftt/summary.json").read_text() == (whole / "summary.json").read_text()


def test_a_spoilt_file_is_named(place, capsys, monkeypatch):
    study("--seeds", "1")
    monkeypatch.setattr("sys.argv", ["ftt", *OPTIONS, "--data", "c.npz", "--seeds", "1"])

    def refused(name, content):
        """Harms a file and puts it right again."""
        spoilt = sorted((place / "build/ftt").glob(name))[0]
        kept = spoilt.read_bytes()
        spoilt.write_text(content(kept) if callable(content) else content)
        capsys.readouterr()
        assert run(ftt.app) == 2
        printed = capsys.readouterr().err
        assert spoilt.name in printed and "delete it" in printed and "--resume" not in printed
        assert printed.count("\n") == 1
        spoilt.write_bytes(kept)

    for content in ("{", "{}", "[]", lambda kept: kept.decode().replace('"images": 64', "1")):
        refused("*_clean_*.json", content)
    refused("*_clean_*.json", lambda kept: kept.decode().replace('"clean"', '"mibb"'))
    other = partial(re.sub, r'(?<="hits": )\d+', lambda found: str(int(found[0]) ^ 1))
    refused("*_clean_*.json", lambda kept: other(kept.decode()))
    next((place / "build/ftt").glob("*_clean_*.json")).unlink()
    refused("*_float_*.pt", "not a checkpoint")


@pytest.mark.long
def test_what_figures_come_from_is_in_the_names(place, monkeypatch):
    study("--seeds", "1")
    before = {path.name for path in (place / "build/ftt").iterdir()}
    arrays = dict(np.load(place / "c.npz"))

    def anew():
        """Which kinds of files the same command has written beside those that were there."""
        assert study("--seeds", "1").exit_code == 0
        new = {path.name for path in (place / "build/ftt").iterdir()} - before
        before.update(new)
        return sorted({name.rpartition(".")[2] for name in new})

    assert anew() == []
    for labels, kinds in (("test_y", ["json"]), ("train_y", ["json", "pt"])):
        arrays[labels] = 1 - arrays[labels]
        np.savez(place / "c.npz", **arrays)
        assert anew() == kinds
    changed = set()
    for module in (ftt, ftt_trainings):
        monkeypatch.setattr(module, "source_hash", lambda name: f"{changed & of(name)}")

    def of(name):
        return {f"{path.parent.name}.{path.stem}" for path in sources(name)}

    anew()
    for source, kinds in (
        ("training.evaluate", ["json"]),
        ("quantization.quantized", ["json", "pt"]),
    ):
        changed.add(source)
        assert anew() == kinds
        changed.clear()
        anew()


def test_a_destroyed_network_is_not_evaluated(place):
    outcome = study("--seeds", "1", "--fault-learning-rate", "1e30")
    assert isinstance(outcome.exception, HoldfastError)
    assert "lenet5_w0.5 seed 1 clean is not finite any more in epoch 1" in str(outcome.exception)
    assert not list((place / "build/ftt").glob("*.json"))


def test_scales_as_in_the_paper(place):
    """Shifts alone, one scale of weights a layer; the float network is that of the other study."""
    assert study("--seeds", "1").exit_code == 0
    options = ("--scales", "power-of-two", "--granularity", "tensor")
    assert study("--seeds", "1", *options).exit_code == 0
    files = [file.name for file in (place / "build/ftt").glob("*.pt")]
    assert sum("_float_" in name for name in files) == 1 and len(files) == 1 + 2 * 3
    summary = json.loads((place / "build/ftt/summary.json").read_text())["study"]
    assert (summary["scales"], summary["granularity"]) == ("power-of-two", "tensor")
    for wrong in ("--scales", "--granularity"):
        outcome = study(wrong, "x")
        assert f"{wrong[2:]} must be" in str(outcome.exception)


def test_released_code_of_stuck_cells():
    """17 and 83 of the integers below 1250 (FTT-NAS's fixed_point_rram_patch_all) at 8 %."""
    settings = 1, 1, 128, 0.1, 0.1, 0.0, {"adsaf": 0.5}, {"adsaf": 0.08}
    spec = network("lenet5")
    released = ftt.Study(*settings, True).model(spec, "adsaf", 0.08)
    assert released.rates() == (17 / 1250, 83 / 1250)
    exact = ftt.Study(*settings, False).model(spec, "adsaf", 0.08)
    assert exact.rates() == pytest.approx((0.08 * 0.163, 0.08 * 0.837))
    names = {ftt.Study(*settings, is_it).plan("x", "adsaf", 1).faults for is_it in (True, False)}
    assert names == {"adsaf 0.08", "adsaf 0.08 as released"}


def test_divergence_names_the_training(place, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["ftt", *OPTIONS, "--data", "c.npz", "--learning-rate", "1e30"])
    assert run(ftt.app) == 2
    assert "of lenet5_w0.5 seed 1 float is not finite any more in" in capsys.readouterr().err


def test_an_epoch_of_too_few_images(place, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["ftt", *OPTIONS, "--data", "c.npz", "--epoch-images", "64"])
    assert run(ftt.app) == 2
    assert "training needs at least 128 images, not 64." in capsys.readouterr().err


def test_output_is_tried_first(place, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["ftt", "--data", "c.npz", "--output", "c.npz"])
    assert run(ftt.app) == 2
    assert capsys.readouterr().err == "cannot make folder c.npz: File exists.\n"

    def read_only(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    monkeypatch.setattr("sys.argv", ["ftt", *OPTIONS, "--data", "c.npz", "--output", "there"])
    assert run(ftt.app) == 2
    assert capsys.readouterr().err == "cannot write in folder there: Read-only file system.\n"
    assert not list((place / "there").iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--network", "nope"], "unknown network 'nope'"),
        (["--network", "vgg16_w0.001"], "width must be from 1/64 to 4, not 0.001"),
        (["--seeds", "0"], "--seeds must be 1 to 1,000, not 0"),
        (["--images", "0"], "--images must be 1 to 10,000, not 0"),
        (["--threads", "0"], "--threads must be 1 to 1,024, not 0"),
        (["--learning-rate", "nan"], "--learning-rate must be 1e-09 to 1e+30, not nan"),
        (["--fault-learning-rate", "-1"], "--fault-learning-rate must be 1e-09 to 1e+30"),
        (["--weight-decay", "inf"], "--weight-decay must be 0 to 100, not inf"),
        (["--mibb-rate", "1.5"], "--mibb-rate must be 0 to 1, not 1.5"),
        (["--adsaf-share", "2"], "--adsaf-share must be 0 to 1, not 2"),
    ],
)
def test_mistakes_end_in_one_sentence(options, message, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["ftt", *options])
    assert run(ftt.app) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_intervals():
    # scipy's own interval of the mean, on other units
    percents = [60.0, 62.0, 67.0]
    low, high = stats.t.interval(0.95, 2, np.mean(percents), stats.sem(percents))
    assert ftt.interval([600, 620, 670], 1000) == pytest.approx((63.0, low, high))
    exact = stats.binomtest(7, 10).proportion_ci(0.95, "exact")
    assert ftt.interval([7], 10) == pytest.approx((70, 100 * exact.low, 100 * exact.high))


def test_gain_is_of_the_pairs_of_repeats():
    # scipy's interval of the mean of the differences 5, 5.5 and 6 points
    low, high = stats.t.interval(0.95, 2, 5.5, stats.sem([5.0, 5.5, 6.0]))
    found = ftt.gain([650, 675, 730], [600, 620, 670], 1000)
    assert found == pytest.approx((5.5, low, high))
    assert low > 0
    assert ftt.gain([650], [600], 1000) is None
