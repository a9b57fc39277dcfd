"""What cannot be written is one sentence, and nothing is left half-written."""

import errno
import os
import re
from pathlib import Path

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.base.files import make_folder, make_room, read_json, write_atomically


def test_written_whole(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "a.txt"
    write_atomically(path, b"one")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(HoldfastError, match=r"^cannot write .*a\.txt: No space left on device\.$"):
        write_atomically(path, b"two")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_where_nothing_can_be_written(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(HoldfastError, match=r"cannot make folder .*file: File exists\."):
        make_folder(file)
    with pytest.raises(HoldfastError, match=r"cannot make folder .*: (Not a|File)"):
        make_room(file / "below" / "x.json")
    with pytest.raises(HoldfastError, match=r"cannot write .*: it is a folder\."):
        make_room(tmp_path)
    with pytest.raises(HoldfastError, match=r"cannot write .*: Is a directory\."):
        write_atomically(tmp_path, b"")
    with pytest.raises(HoldfastError, match=r"cannot write .*: (Not a|File)"):
        write_atomically(file / "x", b"")


def test_a_folder_is_tried(tmp_path, monkeypatch):
    """A file system that is read-only, even to root."""
    make_room(tmp_path / "new" / "x.json")
    assert list(tmp_path.rglob("*")) == [tmp_path / "new"]

    def read_only(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    with pytest.raises(HoldfastError, match=r"cannot write in folder .*: Read-only file system\."):
        make_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[" * 100_000, "nested too deep"),
        (b'{"a": ' + b"1" * 5000 + b"}", "Exceeds the limit"),
        (b"[]", "must be a JSON object, not list"),
        (b"null", "must be a JSON object, not NoneType"),
        (b'{"a": NaN}', "NaN is no number"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"", "is not valid JSON"),
        (b"{" + b" " * 100 + b"}", "has 102 bytes, at most 100 are read"),
    ],
)
def test_json_that_is_none(tmp_path, content, why):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(HoldfastError, match=re.escape(why)) as caught:
        read_json(path, "manifest", 100 if b"  " in content else 1 << 20)
    assert "manifest" in str(caught.value) and len(str(caught.value)) < 500


def test_files_that_are_none(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, why in (("", "Is a directory"), ("pipe", "no regular file"), ("x", "No such file")):
        with pytest.raises(HoldfastError, match=why):
            read_json(tmp_path / name, "summary")
    for path in (Path("/dev/zero"), Path("a\0b"), tmp_path / ("x" * 5000)):
        with pytest.raises(HoldfastError, match="cannot read summary"):
            read_json(path, "summary")
