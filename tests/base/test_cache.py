"""What is measured, is measured once, and again where it has to be."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.base.cache import Cache, file_hash
from holdfast.base.errors import HoldfastError
from holdfast.explore.exploration import PointPlan, missing
from holdfast.explore.runner import measure
from tests.base.living import IMPORTABLE
from tests.explore.fakes import Counted, some
from tests.mutations import altered, harm

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path):
    return Cache(tmp_path / "cache")


def test_measured_once(tmp_path, store):
    told = []
    measure(some(tmp_path), store, done=told.append)
    assert told == some(tmp_path)
    plans = [PointPlan(None, {f"{m.number}": m for m in some(tmp_path)}, {})]
    assert missing(plans, store) == []
    assert [store.get(m) for m in some(tmp_path)] == [{"square": n * n} for n in range(8)]
    assert [m.made for m in some(tmp_path)] == [1] * 8


def test_points_share_a_measurement(tmp_path, store):
    both = [Counted(3, tmp_path), Counted(3, tmp_path, 0.1)]
    plans = [PointPlan(None, {"a": m}, {}) for m in both]
    assert missing(plans, store) == both[:1]


def test_other_sources_are_measured_anew(tmp_path, store):
    old = Counted(5, tmp_path)
    measure([old], store)
    new = replace(old, sources="2")
    assert store.get(new) is None
    assert store.outdated == [store.path(old)] and not store.damaged
    measure([new], store)
    assert store.get(new) == {"square": 25} and old.made == 2


@pytest.mark.parametrize(
    "harm",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("25", "26"),
        lambda text: "[]",
        lambda text: "\x00",
        lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "value"}),
    ],
)
def test_a_damaged_entry_is_measured_anew(tmp_path, store, harm):
    measurement = Counted(5, tmp_path)
    measure([measurement], store)
    path = store.path(measurement)
    path.write_text(harm(path.read_text()))
    assert store.get(measurement) is None
    assert store.damaged == [path]
    measure([measurement], store)
    assert store.get(measurement) == {"square": 25}


def check_mutations(tmp_path, store, count, seed):
    measurement = Counted(5, tmp_path)
    measure([measurement], store)
    path = store.path(measurement)
    whole, rng = path.read_bytes(), random.Random(seed)
    found = []
    for _ in range(count):
        harm(path, rng, altered)
        found.append(store.get(measurement))
        assert found[-1] in (None, {"square": 25})
        if path.is_dir():
            path.rmdir()
        path.write_bytes(whole)
    assert found.count(None) > count / 3


def test_mutations(tmp_path, store):
    check_mutations(tmp_path, store, 2000, 1)


@pytest.mark.slow
def test_many_mutations(tmp_path, store):
    check_mutations(tmp_path, store, 20_000, 2)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_run_goes_on(tmp_path, store, jobs):
    command = [sys.executable, "-m", "tests.explore.fakes", str(tmp_path), str(jobs)]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": IMPORTABLE})
    try:
        deadline = time.monotonic() + 600
        while not any(store.get(m) for m in some(tmp_path)):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    # A process of its own may still be writing.
    time.sleep(1)
    known = [m for m in some(tmp_path) if store.get(m)]
    assert 1 <= len(known) < 8
    before = [m.made for m in known]
    plans = [PointPlan(None, {f"{m.number}": m for m in some(tmp_path)}, {})]
    measure(missing(plans, store), store)
    assert [store.get(m) for m in some(tmp_path)] == [{"square": n * n} for n in range(8)]
    assert [m.made for m in known] == before


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(HoldfastError, match=r"cannot write .*; finished measurements are kept\."):
        measure([Counted(1, tmp_path)], Cache(tmp_path / "cache"))


class Dying(Counted):
    def run(self):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.long
def test_processes_that_die_again_and_again_are_one_sentence(tmp_path, store):
    with pytest.raises(HoldfastError, match="measuring processes died again and again"):
        measure([Dying(1, tmp_path)], store, jobs=2)


def test_hashes_follow_the_content(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    assert file_hash(first) != file_hash(second)
    third = tmp_path / "c"
    third.write_bytes(b"1")
    assert file_hash(third) == file_hash(first)
