import subprocess
from pathlib import Path

import pytest

from holdfast.sim.cocotb.build import SimulationError, _at_run_time, build_cocotb, run_cocotb
from holdfast.sim.netlist.netlist import Netlist
from holdfast.sim.tools import find_tools
from holdfast.sim.verilate import link
from tests.sim.small import Small, flip_flop_bits, memory_bits

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
    assert results == {"flipped": flip_flop_bits(netlist) + memory_bits(netlist)}


def test_results_come_one_by_one(netlist):
    told = []
    last = run_cocotb(
        build_cocotb(netlist), BENCH, parameters=given(netlist, tell=True), testcase="tells",
        on_result=lambda result: told.append(result["number"]),
        on_line=lambda line: told.append("line"),
    )  # fmt: skip
    assert last == {"number": 2}
    assert [entry for entry in told if entry != "line"] == [0, 1, 2]
    # Before the simulation was at its end.
    assert all("line" in told[told.index(n) :] for n in range(3))


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
