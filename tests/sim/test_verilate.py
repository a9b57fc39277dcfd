"""The cache of compiled designs."""

import errno
import os

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.sim.verilate import cached


def test_a_checkout_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.delenv("HOLDFAST_CACHE", raising=False)
    monkeypatch.chdir(tmp_path)

    def read_only(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    told = r"^cannot write in folder .*build/cache/kind: Read-only file system; HOLDFAST_CACHE"
    with pytest.raises(HoldfastError, match=told):
        cached("kind", ["key"], lambda folder: None)


def test_the_cache_moves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "there"))
    folder = cached("kind", ["key"], lambda folder: (folder / "whole").touch())
    assert folder.is_relative_to(tmp_path / "there" / "cache")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_killed_build_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path))

    def killed(folder):
        (folder / "half").touch()
        raise KeyboardInterrupt

    def complete(folder):
        (folder / "whole").touch()

    with pytest.raises(KeyboardInterrupt):
        cached("kind", ["key"], killed)
    folder = cached("kind", ["key"], complete)
    assert {path.name for path in folder.iterdir()} == {"digests.json", "whole"}
    assert cached("kind", ["key"], killed) == folder
    with pytest.raises(KeyboardInterrupt):
        cached("kind", ["other key"], killed)
