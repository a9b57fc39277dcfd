"""Liveness tables are made once for all campaigns with the same golden run."""

import os
from dataclasses import replace

import numpy as np
import pytest

from holdfast.base.errors import HoldfastError
from holdfast.fault.analysis import liveness
from holdfast.fault.analysis.liveness import LivenessParts, LivenessTable
from holdfast.fault.campaign import golden_runs as module
from holdfast.fault.campaign import workers
from holdfast.fault.campaign.golden_runs import golden_runs, liveness_part, liveness_table, watched
from holdfast.fault.campaign.spec import CONTROL, CampaignSpec
from holdfast.fault.campaign.unit import UnitId
from holdfast.fault.campaign.workers import Worker, run_units
from holdfast.fault.model.models.upset import UpsetModel
from holdfast.fault.sampling.sampler import Filters
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARD_ON
from tests.fault import small_campaign
from tests.fault.tiny import images, netlist, program, recorded

MANY = {"weight": 30, "requantizer": 520, "accumulators": 30, "sequencer": 250, "host": 250}


def job_of(golden, **changes):
    arguments = {
        "program": program(), "netlist": netlist(), "guard": GUARD_OFF,
        "codes": images()[:1].numpy(), "labels": None, "model": UpsetModel(),
        "filters": Filters(), "counts": MANY, "size": 260, "seed": 3, "audit": 0.02,
        "spacing": 16, "golden": golden,
    }  # fmt: skip
    return CampaignSpec(**(arguments | changes))


@pytest.fixture(scope="module")
def session():
    return recorded()


@pytest.fixture(scope="module")
def table(session):
    return LivenessTable.of(netlist(), session.lockstep, watched(netlist()))


@pytest.fixture
def analysed(table, tmp_path, monkeypatch):
    """Collects the analyses, each of which finds the same; the cache is empty."""
    calls = []

    def parts(*_):
        calls.append(1)
        return [table]

    monkeypatch.setattr(module, "LivenessParts", parts)
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    return calls


def same(found, table):
    assert found.rows == table.rows and found.hidden == table.hidden
    assert np.array_equal(found.seen, table.seen) and np.array_equal(found.ended, table.ended)
    return True


def test_another_seed_or_number_of_faults_needs_no_other_analysis(
    analysed, session, table, tmp_path
):
    changes = [{}, {"seed": 4}, {"counts": {"host": 2000}}, {"audit": 0.5}, {"size": 10}]
    for number, change in enumerate(changes):
        job = job_of(tmp_path / f"{number}", **change)
        assert same(liveness_table(job, 0, session), table)
    assert len(analysed) == 1


def test_another_golden_run_or_other_sources_are_analysed(analysed, session, tmp_path, monkeypatch):
    descriptors = program().descriptors.copy()
    descriptors[0, 0] ^= 1
    other = replace(program(), descriptors=descriptors)
    changes = [{}, {"codes": images()[1:].numpy()}, {"guard": GUARD_ON}, {"program": other}]
    for number, change in enumerate(changes):
        liveness_table(job_of(tmp_path / f"{number}", **change), 0, session)
        assert len(analysed) == number + 1
    monkeypatch.setattr(module, "source_hash", lambda *_: "others")
    liveness_table(job_of(tmp_path / "sources"), 0, session)
    assert len(analysed) == len(changes) + 1


def test_the_second_image_is_known_as_the_first_of_another_campaign(analysed, session, tmp_path):
    liveness_table(job_of(tmp_path / "a", codes=images().numpy()), 1, session)
    liveness_table(job_of(tmp_path / "b", codes=images()[1:].numpy()), 0, session)
    assert len(analysed) == 1


def test_parts_that_are_made_apart_are_joined(session, tmp_path, monkeypatch):
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    for place in (module, liveness):
        monkeypatch.setattr(place, "part_length", lambda _: 96)
    parts = LivenessParts(netlist(), session.lockstep, watched(netlist()))
    wanted = LivenessTable.of(netlist(), session.lockstep, watched(netlist()))
    job = job_of(tmp_path / "a")
    for part in reversed(range(len(parts))):
        liveness_part(job, 0, part, lambda: parts)
    folders = [path for path in job.golden.iterdir() if path.is_dir()]
    assert len(folders) == len(parts) > 3
    monkeypatch.setattr(module, "LivenessParts", None)
    assert same(liveness_table(job, 0, session), wanted)
    # What is there is not made in parts again, here or in another campaign.
    for known in (job, job_of(tmp_path / "b")):
        liveness_part(known, 0, 0, None)
    assert not any(folder.exists() for folder in folders) and not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    "harm", [lambda data: data[:-4], lambda data: b"", lambda data: b"x" + data]
)
def test_a_damaged_table_in_the_cache_is_made_anew(
    analysed, session, table, tmp_path, harm, monkeypatch, capsys
):
    liveness_table(job_of(tmp_path / "a"), 0, session)
    (path,) = (tmp_path / "cache").rglob("seen.npy*")
    whole = path.read_bytes()
    path.write_bytes(harm(whole))
    monkeypatch.setattr("holdfast.base.artefact._known", set())
    assert same(liveness_table(job_of(tmp_path / "b"), 0, session), table)
    assert len(analysed) == 2 and path.read_bytes() == whole
    assert f"is damaged in {path.name}: made anew." in capsys.readouterr().err


def test_the_cache_keeps_the_tables_used_last(analysed, session, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MOST", 2)
    variants = [{}, {"guard": GUARD_ON}, {"codes": images()[1:].numpy()}]

    def use(number):
        count = len(list(tmp_path.glob("job*")))
        liveness_table(job_of(tmp_path / f"job{count}", **variants[number]), 0, session)
        for path in (tmp_path / "cache").rglob("digests.json"):
            # Older than the next, whatever the file system's clock.
            before = path.parent.stat().st_mtime
            os.utime(path.parent, (before - 10, before - 10))

    for number in (0, 1, 0, 2, 0):
        use(number)
    assert len(analysed) == 3
    use(1)
    assert len(analysed) == 4
    assert len(list((tmp_path / "cache").rglob("digests.json"))) == 2


def test_a_cache_that_cannot_be_written_costs_time_alone(
    analysed, session, table, tmp_path, monkeypatch
):
    def refused(*_):
        raise HoldfastError("cannot write")

    monkeypatch.setattr(module, "cached", refused)
    assert same(liveness_table(job_of(tmp_path / "a"), 0, session), table)
    assert same(liveness_table(job_of(tmp_path / "a"), 0, session), table)
    assert len(analysed) == 1


def test_units_are_the_same_whoever_makes_the_tables_and_when(tmp_path):
    found = []
    for processes in (1, 2):
        job = job_of(tmp_path / f"{processes}")
        golden_runs(job)
        results = list(run_units(job, job.units(), processes))
        assert {unit for unit, _, _ in results} == set(job.units())
        assert not sum(spent.disagreements for _, _, spent in results)
        found.append({unit: content for unit, content, _ in results})
        if processes == 1:
            # Nothing that needs a table is before what needs none.
            last = [unit.structure in CONTROL for unit, _, _ in results]
            assert last == sorted(last) and not last[0]
    assert found[0] == found[1]
    worker = Worker(job_of(tmp_path / "3"))
    golden_runs(worker.job)
    unit = UnitId("host", 0)
    assert worker.compute(unit)[0] == found[0][unit]


def test_faults_with_a_closed_form_wait_for_no_table(table, tmp_path, monkeypatch):
    analysed = []
    monkeypatch.setattr(workers, "liveness_table", lambda *_: analysed.append(1) or table)
    worker = Worker(job_of(tmp_path / "golden"))
    golden_runs(worker.job)
    worker.compute(UnitId("weight", 0))
    assert not analysed
    worker.compute(UnitId("host", 0))
    assert len(analysed) == 1


def test_saved_golden_run_gives_the_same(finished, tmp_path, space, schedule):
    job, _, _, _ = finished
    saved = small_campaign.job_of(space, schedule, golden=tmp_path / "golden")
    golden_runs(saved)
    assert (tmp_path / "golden" / "0" / "begin.npy").is_file()
    assert (
        Worker(saved).compute(UnitId("weight", 0))[0] == Worker(job).compute(UnitId("weight", 0))[0]
    )


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[:200] + bytes(byte ^ 255 for byte in data[200:]),
        lambda data: data[: len(data) // 2],
        lambda data: b"",
    ],
)
@pytest.mark.parametrize("name", ["first", "words", "moments", "states"])
def test_a_damaged_golden_run_is_recorded_anew(
    finished, tmp_path, space, schedule, harm, name, monkeypatch, capsys
):
    """Its indices would lead compiled code anywhere in the memory of the process."""
    job, _, _, _ = finished
    saved = small_campaign.job_of(space, schedule, golden=tmp_path / "golden")
    golden_runs(saved)
    path = tmp_path / "golden" / "0" / f"{name}.npy"
    whole = path.read_bytes()
    path.write_bytes(harm(whole))
    wanted = Worker(job).compute(UnitId("weight", 0))[0]
    assert Worker(saved).compute(UnitId("weight", 0))[0] == wanted
    monkeypatch.setattr("holdfast.base.artefact._known", set())
    golden_runs(saved)
    assert path.read_bytes() == whole
    assert f"is damaged in {name}.npy: made anew." in capsys.readouterr().err
    assert Worker(saved).compute(UnitId("weight", 0))[0] == wanted
