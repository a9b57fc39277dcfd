"""What was made is taken as it was made, or made anew; what the dead left is removed."""

import errno
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from holdfast.base import artefact
from holdfast.base.artefact import damage, made
from holdfast.base.errors import HoldfastError
from tests.base.living import IMPORTABLE
from tests.mutations import harm

ROOT = Path(__file__).parents[2]
CONTENT = {"array.npy": bytes(range(256)) * 8, "text.txt": b"rows\n", "empty": b""}


@pytest.fixture
def fresh(monkeypatch):
    """As in a new process, which has checked nothing yet."""

    def forget():
        monkeypatch.setattr(artefact, "_known", set())
        monkeypatch.setattr(artefact, "_swept", set())

    forget()
    return forget


class Maker:
    def __init__(self):
        self.times = 0

    def __call__(self, folder):
        self.times += 1
        for name, content in CONTENT.items():
            (folder / name).write_bytes(content)


def read(folder):
    return {name: (folder / name).read_bytes() for name in CONTENT}


def test_made_once(tmp_path, fresh):
    make = Maker()
    assert read(made(tmp_path / "kind" / "a", make)) == CONTENT
    fresh()
    assert made(tmp_path / "kind" / "a", make) == tmp_path / "kind" / "a"
    assert make.times == 1 and not damage(tmp_path / "kind" / "a")


def check_mutations(place, count, seed, fresh, capsys):
    make = Maker()
    folder = made(place / "a", make)
    rng = random.Random(seed)
    for _ in range(count):
        fresh()
        before, name = make.times, rng.choice([*CONTENT, "digests.json"])
        if name == "empty":
            (folder / name).write_bytes(rng.randbytes(rng.randrange(1, 9)))
        else:
            harm(folder / name, rng)
        differs = not (folder / name).is_file() or any(
            (folder / n).read_bytes() != content for n, content in CONTENT.items()
        )
        made(folder, make)
        told = capsys.readouterr().err
        assert read(folder) == CONTENT
        # A digest may be damaged without need, but nothing is made anew in silence, or left.
        assert make.times == before + bool(told)
        assert told or not differs
        assert told.count("\n") == bool(told) and (not told or ": made anew." in told)


@pytest.mark.long
def test_mutations(tmp_path, fresh, capsys):
    check_mutations(tmp_path, 2000, 1, fresh, capsys)


@pytest.mark.slow
def test_many_mutations(tmp_path, fresh, capsys):
    check_mutations(tmp_path, 20_000, 2, fresh, capsys)


def test_a_file_in_a_folders_place(tmp_path, fresh, capsys):
    (tmp_path / "a").write_bytes(b"x")
    assert read(made(tmp_path / "a", Maker())) == CONTENT
    assert capsys.readouterr().err == f"{tmp_path / 'a'} is no folder: made anew.\n"
    (tmp_path / "b").write_bytes(b"x")
    with pytest.raises(HoldfastError, match=r"cannot write .*: (Not a directory|File exists)"):
        made(tmp_path / "b" / "c", Maker())


def test_one_of_an_earlier_version_is_made_anew(tmp_path, fresh, capsys):
    make = Maker()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "text.txt").write_bytes(b"rows\n")
    assert read(made(tmp_path / "a", make)) == CONTENT
    assert capsys.readouterr().err == f"{tmp_path / 'a'} is without digests: made anew.\n"


CHILD = """
import os, sys, time
from pathlib import Path
from holdfast.base.artefact import made
def make(folder):
    (folder / "half").write_bytes(b"x" * 1000)
    print("working", flush=True)
    time.sleep(600)
made(Path(sys.argv[1]), make)
"""


def test_what_a_killed_process_left_is_removed(tmp_path, fresh):
    """Another key is asked for next, so that the partial folder would stay for ever."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path / name)], cwd=ROOT, text=True,
            stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": IMPORTABLE},
        )
        for name in ("dead", "alive")
    ]  # fmt: skip
    try:
        for child in children:
            assert child.stdout.readline() == "working\n"
        children[0].kill()
        children[0].wait()
        made(tmp_path / "other", Maker())
        assert sorted(p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")) == [
            "alive.partial", "other",
        ]  # fmt: skip
    finally:
        for child in children:
            child.kill()
            child.wait()
            child.stdout.close()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EROFS, os.strerror(errno.EROFS)),
        OSError("65536 requested and 32768 written"),
    ],
)
def test_a_disk_that_refuses_is_one_sentence(tmp_path, fresh, error):
    def make(folder):
        np.save(folder / "half.npy", np.zeros(8))
        raise error

    reason = error.strerror or os.strerror(errno.ENOSPC)
    with pytest.raises(
        HoldfastError, match=f"^cannot write {re.escape(str(tmp_path))}/a: {reason}"
    ):
        made(tmp_path / "a", make)
    assert [path.name for path in tmp_path.iterdir()] == ["a.lock"]


def test_a_bug_is_no_full_disk(tmp_path, fresh):
    def make(folder):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    with pytest.raises(FileNotFoundError):
        made(tmp_path / "a", make)


def test_all_is_on_the_disk_before_it_has_its_name(tmp_path, fresh, monkeypatch):
    events = []
    sync, rename = os.fsync, Path.rename

    def synced(handle):
        events.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name.split(".")[0])
        sync(handle)

    def renamed(path, target):
        events.append("RENAMED")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    made(tmp_path / "a", Maker())
    at = events.index("RENAMED")
    assert {"array", "text", "empty"} <= set(events[:at]) and events[at + 1 :] == [tmp_path.name]
