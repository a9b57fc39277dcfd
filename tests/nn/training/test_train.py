"""The command that trains, and the recipe behind it."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from holdfast.base.command import run
from holdfast.base.errors import HoldfastError
from holdfast.nn.errors.base import RatedModel
from holdfast.nn.errors.empirical import CalibratedFaults
from holdfast.nn.graph.graph import Graph
from holdfast.nn.networks.registry import network_names
from holdfast.nn.training import train as command


@pytest.fixture
def cifar_like(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (160, 3, 32, 32)).astype(np.uint8)
    y = (x.mean((1, 2, 3)) > 127).astype(np.uint8)
    np.savez(tmp_path / "c.npz", train_x=x[:128], train_y=y[:128], test_x=x[128:], test_y=y[128:])
    return tmp_path / "c.npz"


def test_learnt_bounds_reach_the_file(cifar_like, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--network", "lenet5", "--width", "0.5", "--epochs", "1", "--qat-epochs", "1",
               "--bounds", "learnt", "--data", str(cifar_like), "--calibration", "16"]  # fmt: skip
    assert CliRunner().invoke(command.app, options, catch_exceptions=False).exit_code == 0
    folder = tmp_path / "build" / "train"
    graph = Graph.load(folder / "lenet5_w0.5_w8a8_learnt.safetensors")
    state = torch.load(folder / "lenet5_w0.5_w8a8_learnt_quantized.pt", weights_only=True)[
        "network"
    ]
    for node in graph.weighted():
        low, high = state[f"bounds.{node.name}"].double().numpy() / node.scale
        np.testing.assert_array_equal(node.guard_lo, np.rint(low) + node.zero_point)
        np.testing.assert_array_equal(node.guard_hi, np.rint(high) + node.zero_point)
    assert graph.provenance["bounds"] == "learnt"
    assert "--bounds learnt" in graph.provenance["command"]


def test_shifts_and_one_scale_a_layer_reach_the_file(cifar_like, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--network", "lenet5", "--width", "0.5", "--epochs", "1", "--qat-epochs", "1",
               "--scales", "power-of-two", "--granularity", "tensor",
               "--data", str(cifar_like), "--calibration", "16"]  # fmt: skip
    assert CliRunner().invoke(command.app, options, catch_exceptions=False).exit_code == 0
    folder = tmp_path / "build" / "train"
    graph = Graph.load(folder / "lenet5_w0.5_w8a8_shifts_tensor.safetensors")
    assert graph.multiplier_bits == 0
    assert all(len(set(node.shift.tolist())) == 1 for node in graph.weighted())
    assert "--scales power-of-two --granularity tensor " in graph.provenance["command"]


def test_the_command_writes_a_self_describing_file(cifar_like, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--network", "resnet8", "--width", "0.5", "--bits", "4", "--epochs", "1",
               "--qat-epochs", "1",
               "--data", str(cifar_like), "--calibration", "16", "--seed", "3"]  # fmt: skip
    outcome = CliRunner().invoke(command.app, options, catch_exceptions=False)
    assert outcome.exit_code == 0
    graph = Graph.load(tmp_path / "build" / "train" / "resnet8_w0.5_w4a4.safetensors")
    # image and logits keep their channels: stem and dense layer have half the MACs
    assert (graph.act_bits, graph.weight_bits) == (4, 4)
    assert graph.macs == 442_368 // 2 + 640 // 2 + (12_501_632 - 442_368 - 640) // 4
    story = graph.provenance
    assert story["command"].startswith("holdfast train --network resnet8 --width 0.5 --bits 4 ")
    assert str(tmp_path) not in str(story)
    assert story["accuracy"]["integer"][0]["images"] == 32
    assert {"sources", "python", "torch", "brevitas", "numpy"} <= set(story["versions"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--network", "nope"], "unknown network 'nope'; known are resnet8, resnet20"),
        (["--width", "0"], "--width must be 0.015625 to 4, not 0.0"),
        (["--bounds", "x"], "bounds must be calibrated or learnt, not 'x'"),
        (["--scales", "x"], "scales must be multiplier or power-of-two, not 'x'"),
        (["--granularity", "x"], "granularity must be channel or tensor, not 'x'"),
        (["--bounds", "learnt", "--qat-epochs", "0"], "bounds are learnt in the fake-quantized"),
        (["--bits", "9"], "--bits must be 2 to 8, not 9"),
        (["--act-bits", "1"], "--act-bits must be 2 to 8, not 1"),
        (["--qat-epochs", "-1"], "--qat-epochs must be 0 to 10,000, not -1"),
        (["--epochs", "0"], "--epochs must be 1 to 10,000, not 0"),
        (["--weight-bits", "0"], "--weight-bits must be 2 to 8, not 0"),
        (["--seed", "-1"], "--seed must be 0 to 2,147,483,646, not -1"),
        (["--seed", "99999999999999999999"], "--seed must be 0 to 2,147,483,646, not 9999999999"),
        (["--learning-rate", "0"], "--learning-rate must be 1e-09 to 1e+30, not 0.0"),
        (["--learning-rate", "inf"], "--learning-rate must be 1e-09 to 1e+30, not inf"),
        (["--qat-learning-rate", "nan"], "--qat-learning-rate must be 1e-09 to 1e+30, not nan"),
        (["--weight-decay", "-1"], "--weight-decay must be 0 to 100, not -1.0"),
        (["--weight-decay", "nan"], "--weight-decay must be 0 to 100, not nan"),
        (["--faults", "calibrated:"], "calibrated: needs the name of a file behind it"),
        (["--calibration", "0"], "--calibration must be 1 to 50,000, not 0"),
        (["--threads", "0"], "--threads must be 1 to 1,024, not 0"),
        (["--data", "nowhere"], "no CIFAR-10 data at nowhere: there is no such file or folder"),
    ],
)
def test_mistakes_end_in_one_sentence(options, message, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train", *options])
    assert run(command.app) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


FAST = ["--network", "lenet5_w0.5", "--epochs", "1", "--qat-epochs", "1", "--calibration", "16",
        "--learning-rate", "0.01"]  # fmt: skip


def invoked(*options):
    return CliRunner().invoke(command.app, [*FAST, *options], catch_exceptions=True)


def test_what_was_trained_otherwise_is_not_resumed(cifar_like, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays = dict(np.load(cifar_like))
    arrays["train_y"] = 1 - arrays["train_y"]
    np.savez(tmp_path / "other.npz", **arrays)
    same = "--data", str(cifar_like)
    assert invoked(*same).exit_code == 0
    kept = tmp_path / "build/train/lenet5_w0.5_w8a8.safetensors"
    wanted = Graph.load(kept)
    for options, told in (
        ([*same, "--clip", "mse"], "lenet5_w0.5_w8a8_quantized.pt was trained with clip perc"),
        ([*same, "--restart-epochs", "1"], "w8a8_quantized.pt was trained with start_weights "),
        (["--data", "other.npz"], "lenet5_w0.5_float.pt was trained with data official "),
    ):
        outcome = invoked(*options, "--resume")
        assert isinstance(outcome.exception, HoldfastError)
        assert told in str(outcome.exception)
        assert "resume with the same options, or delete it" in str(outcome.exception)
    assert invoked(*same, "--resume").exit_code == 0
    resumed = Graph.load(kept)
    for before, after in zip(wanted.weighted(), resumed.weighted(), strict=True):
        np.testing.assert_array_equal(before.weight, after.weight)


def test_other_trainings_have_other_files(cifar_like, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for options in ([], ["--bounds", "learnt"], ["--faults", "mibb", "--bounds", "learnt"]):
        outcome = invoked("--data", str(cifar_like), "--resume", *options)
        assert outcome.exit_code == 0, outcome.exception
    assert {path.name for path in (tmp_path / "build/train").glob("*.safetensors")} == {
        "lenet5_w0.5_w8a8.safetensors",
        "lenet5_w0.5_w8a8_learnt.safetensors",
        "lenet5_w0.5_w8a8_mibb_learnt.safetensors",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "folder"], "cannot write folder: it is a folder"),
        (["--output", "file/x.safetensors"], "cannot make folder file"),
        (["--learning-rate", "1e30"], "lenet5_w0.5 float is not finite any more in epoch 1"),
    ],
)
def test_refused_before_it_costs_time(options, message, cifar_like, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("sys.argv", ["train", *FAST, "--data", str(cifar_like), *options])
    assert run(command.app) == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1
    assert not list(tmp_path.rglob("*.pt"))


def test_help_names_every_network(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train", "--help"])
    assert run(command.app) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in network_names())


def test_a_fault_model_in_a_file_is_what_the_file_holds(cifar_like, tmp_path, monkeypatch):
    """A file written anew is another model; the same content under another name is not."""
    monkeypatch.chdir(tmp_path)

    def unread(self, path, rate, seed=0):
        RatedModel.__init__(self, rate, seed)

    monkeypatch.setattr(CalibratedFaults, "__init__", unread)
    for name in ("bind", "start", "sums", "stored"):
        monkeypatch.setattr(CalibratedFaults, name, getattr(RatedModel, name))
    file, copy = tmp_path / "model.npz", tmp_path / "copy.npz"
    file.write_bytes(b"one")
    copy.write_bytes(b"one")

    def trained(path, *options):
        return invoked("--data", str(cifar_like), "--faults", f"calibrated:{path}", *options)

    assert trained(file).exit_code == 0
    assert trained(copy, "--resume").exit_code == 0
    file.write_bytes(b"other")
    outcome = trained(file, "--resume")
    assert "was trained with faults calibrated:" in str(outcome.exception)
