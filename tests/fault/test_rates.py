"""The command for failure rates: what it writes beside a campaign, and how it refuses."""

import csv
import json

import pytest

import holdfast.fault.rates as command_module
from holdfast.base.checked import read_checked, with_check
from holdfast.base.command import run
from holdfast.base.files import write_json
from tests.fault.test_main import SMALL, command, files  # noqa: F401

TEXT = """format = 1
source = "a report of <nobody>"
unit = "FIT/Mbit"
[rates]
flip_flop = 40
block_ram = 70.5
"""


@pytest.fixture
def rates(monkeypatch, capsys):
    def call(*options):
        monkeypatch.setattr("sys.argv", ["rates", *map(str, options)])
        return (run(command_module.app), *capsys.readouterr())

    return call


def test_a_finished_campaign_and_the_campaign_itself(files, command, rates):  # noqa: F811
    place = files.folder / "environment.toml"
    place.write_text(TEXT)
    where = ("--structures", "weight,skew,program_memory", "--audit", "0")
    code, told, _ = command(*SMALL, *where, "--environment", str(place))
    assert code == 0 and "Safety worksheet" in told
    names = ("failure_rates.json", "failure_rates.csv", "safety_worksheet.csv")
    own = {name: (files.store / name).read_text() for name in names}
    page = (files.store / "report.html").read_text()
    assert "a report of &lt;nobody&gt;" in page and "ISO 26262-5" in page
    part = "only of structures weight, skew, program_memory"
    assert part in " ".join(told.split()) and part in page and "whole accelerator" not in told
    code, told, _ = rates(files.store, "--environment", place, "--output", files.folder / "out")
    assert code == 0 and "SPFM" in told and "program_memory" in told
    for name, text in own.items():
        assert (files.folder / "out" / name).read_text() == text
    assert "a report of &lt;nobody&gt;" in (files.folder / "out" / "failure_rates.html").read_text()
    summary = json.loads((files.store / "summary.json").read_text())
    found = json.loads(own["failure_rates.json"])
    program = summary["structures"]["program_memory"]
    words = program["bits"] - program["flip_flops"]
    raw = words * 70.5e-6 + program["flip_flops"] * 40e-6
    assert words == 8 * 32 * 32
    assert found["units"]["program_memory"]["raw"]["fit"] == pytest.approx(raw)
    rows = list(csv.DictReader(own["failure_rates.csv"].splitlines()))
    assert {row["unit"] for row in rows} == {"weight", "skew", "program_memory", "total"}
    for row in rows:
        entry = found["units"][row["unit"]][row["effect"]]
        assert float(row["fit"]) == entry["fit"]
        assert (row["mtbf_hours"] == "") == (entry["hours"] is None)


def test_an_audit_that_disagreed_is_told(files, command, rates):  # noqa: F811
    place, page = files.folder / "environment.toml", "failure_rates.html"
    place.write_text(TEXT)
    assert command(*SMALL, "--structures", "weight,skew", "--audit", "100%")[0] == 0
    code, told, _ = rates(files.store, "--environment", place)
    assert code == 0 and "faults again by plain RTL, 0 disagreements" in told
    found = read_checked(files.store / "summary.json", "summary")
    found["audit"] |= {"disagreements": 1, "faults": ["c7/array__pe_0_0__weight[5]"]}
    write_json(files.store / "summary.json", with_check(found))
    code, told, _ = rates(files.store, "--environment", place)
    assert code == 1 and "faults again by plain RTL, 1 disagreements" in told
    assert "c7/array__pe_0_0__weight[5]: plain RTL disagrees." in told
    assert (files.store / page).exists()


def test_refusals(files, command, rates):  # noqa: F811
    place = files.folder / "environment.toml"
    place.write_text(TEXT.replace("block_ram = 70.5\n", ""))
    code, _, complaint = rates(files.folder / "none", "--environment", place)
    assert code == 2 and "holds no campaign that has ended" in complaint
    code, _, complaint = command(*SMALL, "--environment", str(place))
    assert code == 2 and "no rate of block_ram" in complaint and not files.store.exists()
    place.write_text(TEXT)
    code, _, complaint = command(*SMALL, "--bits", "2", "--environment", str(place))
    assert code == 2 and "of single upsets" in complaint and not files.store.exists()
    shortcut = ("--structures", "weight", "--cycles", "first-mac", "--audit", "0")
    code, _, complaint = command(*SMALL, *shortcut, "--environment", str(place))
    assert code == 2 and "not of first-mac and sum" in complaint and not files.store.exists()
    code, _, complaint = rates(files.store, "--environment", files.folder / "absent.toml")
    assert code == 2 and complaint.count("\n") == 1
