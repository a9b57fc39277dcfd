import errno
import os
import subprocess
from pathlib import Path

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.sim.cocotb.build import (
    SimulationError,
    _at_run_time,
    build_cocotb,
    run_cocotb,
)
from holdfast.sim.netlist.netlist import Netlist
from holdfast.sim.tools import find_tools
from holdfast.sim.verilate import cached, link
from tests.sim.small import Small

BENCH = "tests.sim.flip_bench"


@pytest.fixture(scope="module")
def netlist():
    return Netlist.of(Small(), "small")


def given(netlist, **more):
    return {
        "inputs": {"en": 1, "rst": 0, "a": 3, "address": 5, "lanes": 15, "data": 77},
        "flip_flops": [(f.name, f.width) for f in netlist.flip_flops],
        "memories": [(m.name, m.width, m.depth) for m in netlist.memories],
        **more,
    }


def test_every_bit_flips_and_reads_back(netlist):
    build = build_cocotb(netlist)
    results = run_cocotb(build, BENCH, parameters=given(netlist), testcase="flip_every_bit")
    assert results == {"flipped": netlist.flip_flop_bits + netlist.memory_bits}


def test_failing_test_raises_its_message(netlist):
    with pytest.raises(SimulationError, match=r"fails failed.*as it should"):
        run_cocotb(
            build_cocotb(netlist), BENCH, parameters=given(netlist, fail=True), testcase="fails"
        )


def test_no_test_raises(netlist):
    with pytest.raises(SimulationError, match=r"no test of tests.sim.flip_bench ran"):
        run_cocotb(build_cocotb(netlist), BENCH, parameters=given(netlist), testcase="nothing")


def test_broken_module_raises(netlist):
    with pytest.raises(SimulationError, match=r"tests.sim.absent"):
        run_cocotb(build_cocotb(netlist), "tests.sim.absent")


def test_waves(netlist, tmp_path):
    build = build_cocotb(netlist, waves=True)
    waves = tmp_path / "waves" / "small.vcd"
    run_cocotb(build, BENCH, parameters=given(netlist), testcase="flip_every", waves=waves)
    assert "pe_1_1__total" in waves.read_text()


def test_commas_in_paths_are_no_separators():
    """-Wl,-rpath,a,b is two arguments of the linker; here each is one."""
    path = Path("/a,b c/$x'é/lib")
    arguments = _at_run_time(path)
    assert [a for a in arguments if a != "-Xlinker"] == ["-rpath", str(path)]
    assert arguments[::2] == ["-Xlinker", "-Xlinker"]


def test_a_program_finds_a_library_in_such_a_folder(tmp_path):
    folder = tmp_path / "a,b $x'é"
    folder.mkdir()
    (folder / "one.cpp").write_text("int one() { return 1; }\n", encoding="utf-8")
    (folder / "main.cpp").write_text(
        "int one(); int main() { return one() - 1; }\n", encoding="utf-8"
    )
    compiler = find_tools().compiler
    shared = [compiler, "-shared", "-fPIC", "one.cpp", "-o", "libone.so"]
    subprocess.run(shared, cwd=folder, check=True)
    link([folder / "main.cpp"], folder / "main", [f"-L{folder}", *_at_run_time(folder), "-lone"])
    subprocess.run([folder / "main"], cwd=tmp_path, check=True)


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
