"""The main job's command: what it writes, and how it refuses."""

import json
from collections import Counter
from types import SimpleNamespace

import pytest
import safetensors.numpy
from scipy import stats
from typer.testing import CliRunner

from holdfast.base.command import run
from holdfast.fault import simulate
from holdfast.nn.data import choice
from holdfast.nn.data import cifar as data
from tests.fault.tiny import CONFIG, graph, netlist


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A small model and configuration, and a place without CIFAR-10."""
    monkeypatch.delenv("HOLDFAST_DATA", raising=False)
    monkeypatch.setattr(data, "_SHARED", tmp_path / "absent")
    monkeypatch.setattr(choice, "chosen_images", small_images)
    graph().save(tmp_path / "tiny.safetensors")
    (tmp_path / "tiny.toml").write_text(CONFIG.to_toml())
    (tmp_path / "bare.toml").write_text(CONFIG.with_(guard=False).to_toml())
    return SimpleNamespace(
        folder=tmp_path,
        model=str(tmp_path / "tiny.safetensors"),
        config=str(tmp_path / "tiny.toml"),
        bare=str(tmp_path / "bare.toml"),
        output=tmp_path / "out",
    )


_chosen_images = choice.chosen_images


def small_images(place, count, seed):
    """The network's input has 4x4 pixels."""
    chosen = _chosen_images(place, count, seed)
    return data.ImageSet(chosen.name, chosen.images[:, :, :4, :4].copy(), chosen.labels)


def command(files, *options):
    """Exit code and output of a run on the small network."""
    network = ["--network", files.model] if "--network" not in options else []
    config = ["--config", files.config] if not {"--config", "--rows"} & set(options) else []
    arguments = [*network, *config, "--output", str(files.output), *options]
    return CliRunner().invoke(simulate.app, arguments, catch_exceptions=True)


@pytest.mark.long
def test_summary_holds_what_was_printed(files):
    result = command(files, "--seed", "4")
    assert result.exit_code == 0, result.output
    assert "generated: no CIFAR-10 data found" in " ".join(result.output.split())
    summary = json.loads((files.output / "summary.json").read_text())
    assert summary["network"] == "tiny" and summary["seed"] == 4 and summary["accuracy"] == {}
    assert summary["config"]["rows"] == 2 and "verilator" in summary["versions"]
    steps = ["a", "b", "d", "logits"]
    assert [layer["name"] for layer in summary["layers"]] == steps
    for layer in summary["layers"]:
        assert layer["mismatches"] == 0 and layer["outputs"] > 0
        assert layer["utilization"] == pytest.approx(layer["macs"] / layer["cycles"] / 4)
    faults = summary["faults"]
    counted = Counter(fault["structure"] for fault in faults)
    assert len(counted) == 13 and min(counted.values()) >= 20 and len(faults) >= 260
    assert len({fault["layer"] for fault in faults}) >= 3
    promised = {"id", "signal", "structure", "bit", "cycle", "layer", "effect", "detected"}
    assert promised <= set(faults[0])
    for row in summary["totals"]["faults"]["by_structure"][:-1]:
        hits = sum(f["structure"] == row["structure"] and f["effect"] == "sdc1" for f in faults)
        side = "two-sided" if hits else "less"
        test = stats.binomtest(hits, counted[row["structure"]], alternative=side)
        share = test.proportion_ci(0.95)
        assert row["shares"]["sdc1"] == pytest.approx(
            {"value": test.statistic, "low": share.low, "high": share.high}
        )
    assert {memory.name for memory in netlist().memories} & {fault["signal"] for fault in faults}

    # The compiled engine says the same.
    result = command(files, "--seed", "4", "--engine", "fast", "--roofline")
    assert result.exit_code == 0, result.output
    assert "Where the cycles go" in result.output
    other = json.loads((files.output / "summary.json").read_text())
    assert (summary.pop("engine"), other.pop("engine")) == ("cocotb", "fast")
    del summary["seconds"], other["seconds"]
    assert other == summary


def test_listing_simulates_nothing(files):
    result = command(files, "--listing")
    assert result.exit_code == 0, result.output
    assert "conv 3x3 stride 1 padding 1 + add" in result.output
    assert not files.output.exists()


@pytest.mark.long
def test_accelerator_without_guard(files):
    result = command(files, "--config", files.bare, "--faults", "0")
    assert result.exit_code == 0, result.output
    assert json.loads((files.output / "summary.json").read_text())["guard"] == "off"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seed", "-1"], "--seed must be 0 to 2147483647, not -1."),
        (["--images", "0"], "--images must be 1 to 10,000, not 0."),
        (["--faults", "-2"], "--faults must be 0 to 10,000,000, not -2."),
        (["--stall", "1"], "--stall must be 0 to 0.99, not 1.0."),
        (["--engine", "quick"], "--engine must be one of cocotb, fast, not 'quick'."),
        (["--engine", "fast", "--stall", "0.5"], "--stall needs --engine cocotb, not fast."),
        (["--engine", "fast", "--replay", "x"], "--replay needs --engine cocotb, not fast."),
        (["--engine", "fast", "--waves", "x"], "--waves needs --engine cocotb, not fast."),
        (
            ["--config", "{folder}/streamed.toml"],
            "logits needs weights that are written while it runs",
        ),
        (["--layers", "a,x"], "network tiny has no layer 'x'; it has a, b, d, logits."),
        (["--guard", "on"], "the guard is off, bound, zero, fixed, not 'on'."),
        (["--guard", "off", "--paired"], "--paired compares the guard off and on; here it is off."),
        (["--guard", "fixed"], "has learnt bounds: its settings are off, bound, zero."),
        (["--config", "{bare}", "--guard", "zero"], "the guard cannot be switched on: accelerator"),
        (["--config", "{bare}", "--paired"], "--paired compares the guard off and on"),
        (["--config", "{config}", "--rows", "2"], "the configuration already says rows and cols"),
        (["--rows", "0"], "rows must be 1 to 16, not 0."),
        (["--config", "{folder}/none.toml"], "cannot read configuration"),
        (["--config", "{folder}/narrow.toml"], "the accelerator has 17."),
        (["--config", "{folder}/small.toml"], "words of one activation bank, the accelerator has"),
        (["--network", "nope"], "there is no network 'nope'; shipped are "),
        (["--network", "{folder}/none.safetensors"], "there is no model file"),
        (["--network", "{folder}/cut.safetensors"], "is no whole .safetensors file"),
        (["--network", "{folder}/foreign.safetensors"], "is not a Holdfast model"),
        (["--network", "{folder}/text.safetensors"], "has a header of"),
        (["--data", "{folder}/none"], "there is no such file or folder"),
        (["--data", "{folder}/empty"], "no CIFAR-10 data in"),
        (["--output", "{config}/x"], "cannot make folder"),
        (["--replay", "a/i0/c1"], "fault id 'a/i0/c1' is not of the form LAYER/iIMAGE/cCYCLE/"),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(files, options, message, capsys, monkeypatch):
    folder = files.folder
    whole = (folder / "tiny.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (folder / "text.safetensors").write_text("hello")
    (folder / "foreign.safetensors").write_bytes(safetensors.numpy.save({}))
    (folder / "narrow.toml").write_text(CONFIG.with_(acc_bits=17).to_toml())
    (folder / "small.toml").write_text(CONFIG.with_(act_depth=30).to_toml())
    (folder / "streamed.toml").write_text(CONFIG.with_(weight_depth=128).to_toml())
    (folder / "empty").mkdir()
    before = sorted(folder.rglob("*"))
    known = vars(files) | {"folder": folder}
    given = [option.format_map(known) for option in options]
    network = [] if "--network" in options else ["--network", files.model]
    config = [] if {"--config", "--rows"} & set(options) else ["--config", files.config]
    output = [] if "--output" in options else ["--output", str(files.output)]
    monkeypatch.setattr("sys.argv", ["simulate", *network, *config, *output, *given])
    assert run(simulate.app) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert "Traceback" not in told
    assert [p for p in sorted(folder.rglob("*")) if not p.is_dir()] == [
        p for p in before if not p.is_dir()
    ]


def test_images_of_another_size(files, capsys, monkeypatch):
    monkeypatch.setattr(choice, "chosen_images", _chosen_images)
    options = ["--network", files.model, "--config", files.config, "--output", str(files.output)]
    monkeypatch.setattr("sys.argv", ["simulate", *options])
    assert run(simulate.app) == 2
    told = capsys.readouterr().err
    assert told == "network tiny takes images of shape (3, 4, 4), those at hand have (3, 32, 32).\n"
    assert not files.output.exists()


@pytest.mark.long(keep=1)
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("x/i0/c1/first[0]", "layer x does not exist; known are a, b, d, logits."),
        ("a/i1/c1/first[0]", "image 1 does not exist, there are images 0 to 0."),
        ("a/i0/c999999/first[0]", "cycle 999999 is beyond layer a, which has cycles 0 to "),
        ("a/i0/c1/nothing[0]", "the netlist has no register or memory nothing."),
        ("a/i0/c1/first[16]", "bit 16 is beyond first, which has bits 0 to 15."),
        ("a/i0/c1/weights__lane_0[512][0]", "which has words 0 to 511."),
        ("a/i0/c1/weights__lane_0[0]", "weights__lane_0 is a memory and takes a word and a bit."),
    ],
)
def test_faults_that_do_not_exist(files, fault, message, capsys, monkeypatch):
    options = ["--network", files.model, "--config", files.config, "--output", str(files.output)]
    monkeypatch.setattr("sys.argv", ["simulate", *options, "--replay", fault])
    assert run(simulate.app) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not [path for path in files.output.rglob("*") if path.is_file()]
