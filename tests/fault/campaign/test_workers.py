"""Campaigns in processes: killed workers, a killed parent, Dask; what a larger one continues."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from holdfast.fault.campaign.golden_runs import golden_runs
from holdfast.fault.campaign.store import Store
from holdfast.fault.campaign.unit import UnitId
from holdfast.fault.campaign.workers import Worker, run_units
from holdfast.nn.graph.guard_modes import GUARD_ON
from tests.base.living import IMPORTABLE
from tests.fault.small_campaign import content, job_of, read, sizes
from tests.fault.test_main import command, files  # noqa: F401
from tests.fault.tiny import images, netlist
from tests.nn.test_without_torch import BLOCKED


def test_killed_workers_change_nothing(finished, tmp_path):
    """Every worker is killed at some moments; the shards are those of the calm campaign."""
    job, expected, _, _ = finished
    units = job.units()
    kills = 0
    with Store(tmp_path, {"seed": job.seed, "sources": "a"}) as store:
        for name, data, _ in run_units(job, units):
            store.add(name, data)
            if kills < 3:
                kills += 1
                children = subprocess.run(
                    ["ps", "-o", "pid=", "--ppid", str(os.getpid())],
                    capture_output=True, text=True, check=True,
                ).stdout.split()  # fmt: skip
                for child in children:
                    command = subprocess.run(
                        ["ps", "-o", "args=", "-p", child], capture_output=True, text=True
                    ).stdout
                    if "holdfast.base.pool" in command:
                        os.kill(int(child), signal.SIGKILL)
        assert content(store, units) == expected


_CHILD = """
import pickle, sys
from pathlib import Path
from holdfast.fault.campaign.unit import UnitId
from holdfast.fault.campaign.golden_runs import golden_runs
from holdfast.fault.campaign.store import Store
from holdfast.fault.campaign.workers import run_units
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    job = pickle.loads((folder / "job").read_bytes())
    with Store(folder, {"seed": job.seed, "sources": "a"}) as store:
        pairs = zip(sys.argv[2::2], sys.argv[3::2])
        todo = store.missing({UnitId.parse(name): int(rows) for name, rows in pairs})
        for name, data, _ in run_units(job, todo):
            store.add(name, data)
    print("done")
"""


@pytest.mark.long
def test_killed_parent_resumes(finished, tmp_path):
    job, expected, _, _ = finished
    (tmp_path / "job").write_bytes(pickle.dumps(job))
    script = tmp_path / "child.py"
    script.write_text(_CHILD)
    units = [text for name, rows in sizes(job).items() for text in (str(name), str(rows))]
    arguments = [sys.executable, str(script), str(tmp_path), *units]
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    for wanted in (2, 5):
        child = subprocess.Popen(arguments, env=environment, stderr=subprocess.DEVNULL)
        limit = time.monotonic() + 300
        while len(list(tmp_path.glob("shards/*.parquet"))) < wanted and child.poll() is None:
            assert time.monotonic() < limit
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
    subprocess.run(arguments, env=environment, check=True, stdout=subprocess.DEVNULL)
    with Store(tmp_path, {"seed": job.seed, "sources": "a"}) as store:
        assert content(store, job.units()) == expected


def test_looks_hold_as_many_units_of_every_structure(space, schedule):
    job = job_of(space, schedule, counts={"weight": 200, "skew": 30}, size=25)
    looks = [[str(unit) for unit in job.units_until(number)] for number in (1, 2, 8)]
    assert looks[0] == ["weight-000000", "skew-000000"]
    assert len(looks[1]) == 4 and looks[2] == [str(unit) for unit in job.units()]
    whole = job.units_until(1, {"weight"})
    assert sum(unit.structure == "weight" for unit in whole) == 8


@pytest.mark.long
def test_dask_worker_killed_midway(finished, tmp_path):
    """Two Dask workers, one killed while it works: the shards are those of local processes."""
    from distributed import LocalCluster

    job, expected, _, _ = finished
    units = job.units()
    found = {}
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        for name, data, _ in run_units(job, units, scheduler=cluster.scheduler_address):
            found[name] = data
            if len(found) == 2:
                worker = next(iter(cluster.workers.values()))
                os.kill(worker.process.pid, signal.SIGKILL)
    with Store(tmp_path, {"seed": job.seed, "sources": "a"}) as store:
        for name, data in found.items():
            store.add(name, data)
        assert content(store, units) == expected


def test_a_larger_campaign_continues_a_smaller(space, schedule):
    drawn = []
    for count in (30, 80):
        worker = Worker(job_of(space, schedule, counts={"weight": count}, audit=0.0))
        shards = [read(worker.compute(unit)[0]) for unit in worker.job.units()]
        drawn.append([fault for shard in shards for fault in shard["fault"].to_pylist()])
    assert drawn[0] == drawn[1][:30]
    assert len(set(drawn[1])) > 70


def test_a_worker_keeps_a_few_images(tmp_path, space, schedule, monkeypatch):
    codes = np.tile(images()[:2].numpy(), (2, 1, 1, 1))
    job = job_of(space, schedule, golden=tmp_path / "golden", codes=codes)
    golden_runs(job)
    units = [UnitId("activation_memory", 0), UnitId("host", 0)]
    wanted = [Worker(job).compute(unit)[0] for unit in units]
    monkeypatch.setattr("holdfast.fault.campaign.workers._ENGINES", 2)
    worker = Worker(job)
    assert [worker.compute(unit)[0] for unit in units] == wanted
    assert list(worker._engines) == list(worker._mapped) == [0, 3]


_WITHOUT = """
import pickle, sys
from holdfast.fault.campaign.unit import UnitId
from holdfast.fault.campaign.unit import UnitId
from holdfast.fault.campaign.workers import Worker
job = pickle.load(sys.stdin.buffer)
content, _ = Worker(job).compute(UnitId("activation_memory", 0))
sys.stdout.buffer.write(content)
"""


def test_a_worker_needs_no_pytorch(tmp_path, space, schedule):
    """It would take 200 MB in every process, and a second."""
    job = job_of(space, schedule, golden=tmp_path / "golden", guard=GUARD_ON)
    golden_runs(job)
    found = subprocess.run(
        [sys.executable, "-c", BLOCKED + _WITHOUT], input=pickle.dumps(job), capture_output=True
    )
    assert not found.returncode, found.stderr.decode()
    assert found.stdout == Worker(job).compute(UnitId("activation_memory", 0))[0]


@pytest.mark.long
@pytest.mark.parametrize("kind", ["plain", "pilot", "flip-flops"])
def test_the_same_on_any_number_of_processes(kind, files, command):  # noqa: F811
    """Shards and summary, byte for byte, on this machine and on a cluster."""
    from distributed import LocalCluster

    options = ["--faults", "400", "--minimum", "20", "--unit", "50", "--audit", "5%",
               "--images", "2"]  # fmt: skip
    if kind == "flip-flops":
        memories = "|".join(memory.name for memory in netlist().memories)
        options += ["--pattern", f"^(?!(?:{memories})$)"]
    if kind == "pilot":
        assert command(*options, "--processes", "2")[0] == 0
        files.store.rename(files.folder / "pilot")
        options += ["--pilot", "{folder}/pilot", "--seed", "2"]
    found = {}

    def compute(*where):
        code, told, complaint = command(*options, *where)
        assert code == 0, told + complaint
        names = [*files.store.glob("shards/*.parquet"), files.store / "summary.json"]
        found[where] = {path.name: path.read_bytes() for path in names}
        shutil.rmtree(files.store)

    for processes in "128":
        compute("--processes", processes)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        compute("--scheduler", cluster.scheduler_address)
    first, *others = found.values()
    assert len(first) > 10 and len(others) == 3
    for other in others:
        assert other == first
