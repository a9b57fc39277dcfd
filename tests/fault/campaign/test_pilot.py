"""Campaigns whose draws another decided: weighed right, repeated alike, or refused."""

import json
import math
import shutil

import pyarrow.parquet as pq
import pytest

import holdfast.fault.__main__ as campaign
from holdfast.fault.campaign.prior import PriorCampaign, paired
from tests.fault.test_main import command, files, shards  # noqa: F401

PLAIN = ("--processes", "1", "--minimum", "20", "--faults", "300", "--audit", "0")
PILOTED = (*PLAIN, "--pilot", "{folder}/pilot")
WHERE = ("--structures", "weight_memory,program_memory,skew,sequencer")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept") / "pilot"


@pytest.fixture
def pilot(files, command, kept):  # noqa: F811
    if not kept.exists():
        assert command(*PLAIN, *WHERE)[0] == 0
        files.store.rename(kept)
    return shutil.copytree(kept, files.folder / "pilot")


def rows_of(folder):
    return [row for path in sorted(folder.glob("shards/*"))
            for row in pq.read_table(path).to_pylist()]  # fmt: skip


def test_rows_carry_what_weighs_them(files, command, pilot):  # noqa: F811
    code, told, _ = command(*PILOTED, *WHERE, "--audit", "5%")
    assert code == 0 and "A pilot decided the draws" in told, told
    summary = json.loads((files.store / "summary.json").read_text())
    rows = rows_of(files.store)
    strata = {}
    for row in rows:
        strata.setdefault((row["stratum"], row["population"]), []).append(row)
    assert sum(population for _, population in strata) == summary["population"]
    for kind in ("avf", "sdc1"):
        value = spread = 0.0
        for (_, population), found in strata.items():
            hits = sum(r["effect"] in ("benign", "sdc1", "stopped", "hang") if kind == "avf"
                       else r["effect"] == kind for r in found)  # fmt: skip
            mean, weight = hits / len(found), population / summary["population"]
            value += weight * mean
            spread += weight**2 * mean * (1 - mean) / (len(found) - 1)
        assert summary["total"][kind]["value"] == pytest.approx(value)
        precision = summary["sampling"]["precision"][kind]
        assert precision["variance"] == pytest.approx(spread)
        if spread:
            wanted = value * (1 - value) / spread
            assert precision["effective_faults"] == pytest.approx(wanted)
    for name, stratum in summary["sampling"]["strata"].items():
        assert stratum["faults"] == sum(row["stratum"] == name for row in rows)
    # Of a structure as well, and faults of unused words never fail.
    mine = [(p, f) for (name, p), f in strata.items() if name.startswith("program_memory.")]
    value = sum(p * sum(r["effect"] in ("benign", "sdc1", "stopped", "hang") for r in f) / len(f)
                for p, f in mine) / sum(p for p, _ in mine)  # fmt: skip
    assert summary["structures"]["program_memory"]["shares"]["avf"]["value"] == pytest.approx(value)
    idle = [row for row in rows if row["stratum"].endswith(".0")]
    assert idle and {row["effect"] for row in idle} <= {"masked", "latent"}
    numbers = [(row["structure"], row["number"]) for row in rows]
    assert len(set(numbers)) == len(numbers)
    page = (files.store / "report.html").read_text()
    assert "A pilot decided the draws" in page and "No fault in a processing element" not in page


def test_the_same_command_draws_the_same(files, command, pilot):  # noqa: F811
    assert command(*PILOTED, *WHERE)[0] == 0
    first = shards(files.store)
    assert command(*PILOTED, *WHERE)[0] == 0
    assert shards(files.store) == first
    files.store.rename(files.folder / "first")
    assert command(*PILOTED, *WHERE)[0] == 0
    assert shards(files.store) == first
    files.store.rename(files.folder / "again")
    # A pilot may have had one itself.
    again = ("--pilot", "{folder}/again", "--metric", "avf")
    code, _, complaint = command(*PLAIN, *WHERE, *again)
    assert code == 2 and "drew by the seed 1 as well" in complaint and not files.store.exists()
    again += ("--seed", "2")
    assert command(*PLAIN, *WHERE, *again)[0] == 0
    found = json.loads((files.store / "manifest.json").read_text())
    assert found["pilot"]["metric"] == "avf"
    # Other draws are another campaign.
    code, _, complaint = command(*PILOTED, *WHERE)
    assert code == 2 and "holds another campaign" in complaint


def test_guard_settings_are_compared_by_strata(files, command, pilot):  # noqa: F811
    assert command(*PILOTED, *WHERE, "--compare", "off,bound")[0] == 0
    found = json.loads((files.store / "comparison.json").read_text())["second"]["bound"]["total"]
    rows = {name: rows_of(files.store / f"guard_{name}") for name in ("off", "bound")}
    total = {row["stratum"]: row["population"] for row in rows["off"]}
    value = sum(
        population / sum(total.values())
        * (sum(r["effect"] == "sdc1" for r in some if r["stratum"] == name)
           / sum(r["stratum"] == name for r in some)) * sign
        for name, population in total.items() for some, sign in ((rows["off"], -1),
                                                                 (rows["bound"], 1))
    )  # fmt: skip
    assert math.isclose(found["difference"]["value"], value, abs_tol=1e-12)
    off, bound = (PriorCampaign.load(files.store / f"guard_{name}") for name in ("off", "bound"))
    assert paired(off, bound, 0.95)["total"] == found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--config", "{bare}"), "is of another design"),
        (("--structures", "skew"), "is of another part of the space"),
        (("--bits", "2"), "is of another fault model"),
        (("--stuck", "1"), "is of another fault model"),
        (("--patterns",), "patterns are fitted from draws in proportion"),
        (("--metric", "speed"), "--metric must be sdc1, "),
        (("--pilot", "{folder}/none"), "holds no campaign that has ended"),
    ],
)
def test_a_pilot_that_does_not_fit(files, command, pilot, options, message):  # noqa: F811
    code, _, complaint = command(*PILOTED, *(() if "--structures" in options else WHERE), *options)
    assert code == 2 and message in complaint and complaint.count("\n") == 1
    assert not files.store.exists()


def test_what_does_not_fit_is_told_before_images(files, command, pilot, monkeypatch):  # noqa: F811
    monkeypatch.setattr(campaign, "images_for", lambda *given: pytest.fail("images were loaded"))
    for options, message in (
        (("--structures", "skew"), "is of another part of the space"),
        ((*WHERE, "--bits", "2"), "is of another fault model"),
    ):
        code, _, complaint = command(*PILOTED, *options)
        assert code == 2 and message in complaint


def test_a_damaged_pilot(files, command, pilot):  # noqa: F811
    shard = next((pilot / "shards").iterdir())
    shard.write_bytes(shard.read_bytes()[:-40])
    code, _, complaint = command(*PILOTED, *WHERE)
    assert code == 2 and "damaged" in complaint and not files.store.exists()
