"""Temporary files of the dead are removed, those of the living are not."""

import os
import platform
import subprocess
import sys
import tempfile

from holdfast.base.files import make_folder, write_atomically
from holdfast.base.leftovers import clean, scratch, temporary


def test_only_the_dead(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    node = platform.node()
    living = tmp_path / f".a.json.{child.pid}@{node}.abc"
    living.write_bytes(b"half")
    elsewhere = tmp_path / ".a.json.1234567890@elsewhere.abc"
    elsewhere.write_bytes(b"half")
    for name in ("a.json", ".hidden", ".a@b", f".a.x@{node}.abc"):
        (tmp_path / name).write_bytes(b"whole")
    handle, mine = temporary(tmp_path / "b.json")
    os.close(handle)
    before = set(tmp_path.iterdir())
    clean(tmp_path)
    assert set(tmp_path.iterdir()) == before
    child.kill()
    child.wait()
    child.stdin.close()
    make_folder(tmp_path)
    assert set(tmp_path.iterdir()) == before - {living}
    assert mine.exists()


def test_names_of_any_length(tmp_path):
    for name in ("x" * 250 + ".json", "名" * 83 + ".json"):
        path = tmp_path / name
        write_atomically(path, b"one")
        assert path.read_bytes() == b"one" and list(tmp_path.iterdir()) == [path]
        path.unlink()


def test_a_scratch_folder_of_the_dead_goes_with_the_next(tmp_path, monkeypatch):
    code = "import os\nfrom base.leftovers import scratch\nwith scratch() as folder:\n"
    code += "    (folder / 'a').mkdir()\n    os.kill(os.getpid(), 9)\n"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"TMPDIR": str(tmp_path)})
    (left,) = tmp_path.iterdir()
    assert (left / "a").is_dir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch() as first, scratch() as second:
        assert set(tmp_path.iterdir()) == {first, second}
        assert first.stat().st_mode & 0o777 == 0o700
    assert not list(tmp_path.iterdir())
