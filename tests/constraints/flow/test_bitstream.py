"""From a configuration to a bitstream with the real tools, on the smallest accelerator there is."""

import json

import pytest

import holdfast.constraints.__main__ as command
from holdfast.base.command import run
from holdfast.base.errors import HoldfastError
from holdfast.constraints.boards import find_board
from holdfast.constraints.families.base import Cost
from holdfast.constraints.flow import bitstream, build, eda_tools
from holdfast.constraints.flow.bitstream import Placed, check_fit, read_report
from holdfast.gen.config import AcceleratorConfig

pytestmark = pytest.mark.slow

SMALLEST = AcceleratorConfig(
    rows=1, cols=1, act_depth=64, weight_depth=64, acc_depth=16, param_depth=16, program_depth=4,
    multiplier_bits=8, guard=False,
)  # fmt: skip


def said(_):
    """Progress goes nowhere."""


def command_line(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["constraints", *map(str, arguments)])
    return run(command.app)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bitstream")


@pytest.fixture(scope="module")
def smallest(folder):
    path = folder / "smallest.toml"
    path.write_text(SMALLEST.to_toml())
    return path


def test_icebreaker(folder, smallest, monkeypatch, capsys):
    """The command's figures are those of the tools, and a second call runs nothing again."""
    arguments = ("--board", "icebreaker", "--config", smallest, "--output", folder)
    assert command_line(monkeypatch, *arguments) == 0
    summary = json.loads((folder / "icebreaker/summary.json").read_text())
    assert summary["met"] and summary["fmax_mhz"] >= summary["target_mhz"] == 24
    assert summary["config"]["rows"] == 1
    image = folder / "icebreaker/holdfast.bin"
    # Configuration images of the UP5K have 104,090 bytes, whatever is in them (TN-02001).
    assert summary["bytes"] == image.stat().st_size == 104090
    assert summary["lut"] <= 5280 and summary["dsp"] <= 8
    # No network fits 64 words of activations.
    assert summary["inferences_per_second"] == {"resnet8": None, "resnet20": None}

    marks = {path: path.stat().st_mtime_ns for path in folder.rglob("made_from")}
    assert len(marks) == 2
    netlists = {path: path.stat().st_mtime_ns for path in folder.rglob("synthesis/netlist.json")}
    assert command_line(monkeypatch, *arguments) == 0
    assert marks == {path: path.stat().st_mtime_ns for path in folder.rglob("made_from")}
    assert netlists == {
        path: path.stat().st_mtime_ns for path in folder.rglob("synthesis/netlist.json")
    }
    assert "holdfast.bin: 104090 bytes" in capsys.readouterr().out.replace("\n", "")


def test_a_damaged_result_is_made_anew(tmp_path, capsys):
    for name in ("netlist.json", "statistics.json"):
        (tmp_path / name).write_text("{}")
    outputs = ["netlist.json", "statistics.json"]
    assert not bitstream._current(tmp_path, "key", outputs)
    bitstream._mark(tmp_path, "key", outputs)
    (tmp_path / "log").write_text("written later")
    assert bitstream._current(tmp_path, "key", outputs)
    assert not bitstream._current(tmp_path, "other", outputs)
    assert capsys.readouterr().err == ""
    for harm in (lambda path: path.write_text("[]"), lambda path: path.unlink()):
        harm(tmp_path / "statistics.json")
        assert not bitstream._current(tmp_path, "key", outputs)
        told = capsys.readouterr().err
        assert "statistics.json: made anew." in told and told.count("\n") == 1


def test_too_slow(folder, smallest, monkeypatch, capsys):
    """Exit code 1, by how much and where, and no bitstream unless forced."""
    slow = Placed(folder, 1, 20.0, -8.333, "register_a to register_b", {}, 1.0)
    monkeypatch.setattr(build, "place", lambda *_: slow)
    monkeypatch.setattr(build, "pack", lambda *_: smallest)
    (folder / "icebreaker/holdfast.bin").unlink(missing_ok=True)
    arguments = ("--board", "icebreaker", "--config", smallest, "--output", folder)
    assert command_line(monkeypatch, *arguments) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert (
        "iCEBreaker misses its clock by 8.33 ns: 20.0 MHz of 24, slowest from register_a to "
        "register_b; no bitstream without --force." in out
    )
    summary = json.loads((folder / "icebreaker/summary.json").read_text())
    assert summary["met"] is False and summary["bitstream"] is None
    assert not list((folder / "icebreaker").glob("holdfast.*"))
    assert command_line(monkeypatch, *arguments, "--force") == 1
    assert list((folder / "icebreaker").glob("holdfast.*"))


def test_report(tmp_path):
    """Two clocks, one of them 1 ns too slow."""
    board = find_board("icebreaker")
    report = {
        "fmax": {
            "clk": {"achieved": 30.0, "constraint": 24.0},
            "double_clk": {"achieved": 1000 / (1000 / 48 + 1), "constraint": 48.0},
        },
        "critical_paths": [
            {
                "from": "posedge double_clk",
                "to": "posedge double_clk",
                "path": [
                    {"from": {"cell": "a"}, "to": {"cell": "b"}},
                    {"from": {"cell": "b"}, "to": {"cell": "c"}},
                ],
            }
        ],
        "utilization": {"ICESTORM_LC": {"used": 7, "available": 5280}},
    }  # fmt: skip
    (tmp_path / "report.json").write_text(json.dumps(report))
    (tmp_path / "seconds").write_text("2.5")
    found = read_report(board, tmp_path, 3)
    assert (found.fmax_mhz, found.slack_ns, found.met) == (30.0, -1.0, False)
    assert (found.critical, found.used) == ("a to c", {"ICESTORM_LC": 7})

    # Half a period of 24 MHz is 20.83 ns; this path between the clocks takes 22.
    report["critical_paths"].append(
        {
            "from": "posedge clk",
            "to": "posedge double_clk",
            "path": [{"from": {"cell": "d"}, "to": {"cell": "e"}, "delay": 22.0}],
        }
    )
    (tmp_path / "report.json").write_text(json.dumps(report))
    found = read_report(board, tmp_path, 3)
    assert (found.slack_ns, found.critical) == (-1.167, "d to e")


def test_does_not_fit():
    board = find_board("icebreaker")
    with pytest.raises(HoldfastError, match=r"it needs 9 multiplier blocks, the device has 8\."):
        check_fit(board, Cost(lut=1, ff=1, dsp=9, mem=1))
    check_fit(board, Cost(lut=5280, ff=5280, dsp=8, mem=286))


def test_bad_requests(monkeypatch, capsys, tmp_path):
    for arguments, message in (
        (("--board", "ulx4m"), "there is no board 'ulx4m'; known are"),
        (("--board", "ulx3s", "--seeds", "0"), "--seeds must be 1 to 20, not 0."),
        (("--board", "ulx3s", "--config", tmp_path / "no.toml"), "cannot read configuration"),
    ):
        assert command_line(monkeypatch, *arguments, "--output", tmp_path / "out") == 2
        assert message in capsys.readouterr().err
    monkeypatch.setattr(eda_tools, "SEARCH_PATH", str(tmp_path))
    arguments = ("--board", "ulx3s", "--output", tmp_path / "out")
    assert command_line(monkeypatch, *arguments) == 2
    assert "yosys is missing; install it with" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
