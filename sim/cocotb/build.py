"""Builds a netlist for cocotb and runs tests on it.

    build = build_cocotb(netlist)
    results = run_cocotb(build, "tests.sim.bench", parameters={"seed": 1})

In the testbench module, a cocotb test gets its parameters from `parameters()` and may hand data
back with `write_results(data)`, as often as it likes: `run_cocotb` passes each on as it comes, and
returns the last.

Ports, flip-flops and memories are readable and writable from the testbench, other signals are not:
making every wire public is what makes Verilated designs slow. Waveforms hold all of them.
"""

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import find_libpython
from cocotb_tools import config as cocotb_config

from holdfast.base.errors import HoldfastError
from holdfast.base.leftovers import scratch
from holdfast.base.processes import child, kill
from holdfast.sim.netlist.netlist import Netlist
from holdfast.sim.verilate import (
    cached,
    compile_sources,
    compiler_flags,
    item_names,
    link,
    public,
    runtime_objects,
    tool_versions,
    verilate,
)

_PARAMETERS = "HOLDFAST_PARAMETERS"
_RESULTS = "HOLDFAST_RESULTS"


class SimulationError(Exception):
    """A testbench failed, or did not get to run a test."""


@dataclass(frozen=True)
class Build:
    """Names a compiled simulation.

    Attributes
    ----------
    netlist : Netlist
        What it simulates.
    executable : Path
        The simulation.
    waves : bool
        Whether it can write waveforms.
    """

    netlist: Netlist
    executable: Path
    waves: bool


def build_cocotb(netlist: Netlist, *, waves: bool = False) -> Build:
    """Compiles `netlist` for cocotb, or takes the compiled one from ``build/cache``."""
    items = public(netlist, item_names(netlist))
    options = ["--vpi", "-O3", *(["--trace", "--trace-structs"] if waves else [])]
    flags = ["-O1", *compiler_flags(trace=waves)]
    libraries = cocotb_config.libs_dir
    main = cocotb_config.share_dir / "lib" / "verilator" / "verilator.cpp"

    def make(folder: Path) -> None:
        (folder / "state.vlt").write_text(items, encoding="utf-8")
        sources = verilate(netlist, folder, "Vtop", [*options, "state.vlt"])
        objects = compile_sources([*sources, main], folder, flags)
        link(
            [*objects, *runtime_objects(vpi=True, trace=waves)],
            folder / "simulation",
            ["-pthread", f"-L{libraries}", *_at_run_time(libraries), "-lcocotbvpi_verilator"],
        )
        for path in folder.iterdir():
            if path.name not in ("simulation", "design.v"):
                path.unlink()

    key = [netlist.hash, netlist.top, items, *options, *flags, *tool_versions()]
    key += [str(libraries), main.read_text(encoding="utf-8")]
    folder = cached("cocotb", key, make)
    return Build(netlist, folder / "simulation", waves)


def run_cocotb(
    build: Build,
    test_module: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    testcase: str | None = None,
    seed: int | None = None,
    waves: Path | None = None,
    folder: Path | None = None,
    on_result: Callable[[Any], None] = lambda result: None,
    on_line: Callable[[str], None] = lambda line: None,
    timeout: float | None = None,
) -> Any:
    """Runs the cocotb tests of a module on `build`, in a process of its own.

    Parameters
    ----------
    test_module : str
        Dotted name of an importable module.
    parameters : Mapping
        What `parameters()` returns in the testbench; must fit into JSON.
    testcase : str
        Regular expression; only tests with a matching name run.
    seed : int
        Seed of cocotb's ``random``.
    waves : Path
        VCD file to write; needs a build with waves.
    folder : Path
        Working folder of the simulation, kept; a temporary one without it.
    on_result, on_line : Callable
        Called with everything that the testbench gives to `write_results`, and with every line of
        output, as they come.
    timeout : float
        Seconds after which the simulation is ended.

    Returns
    -------
    Any
        What the testbench gave to `write_results` last, or None.

    Raises
    ------
    SimulationError
        A test failed, or none ran.
    """
    if waves is not None and not build.waves:
        raise ValueError("waveforms need build_cocotb(netlist, waves=True)")
    with contextlib.nullcontext(folder) if folder is not None else scratch() as place:
        place = place.resolve()
        place.mkdir(parents=True, exist_ok=True)
        outcome, results = place / "outcome.xml", _Results(place / "results.jsonl", on_result)
        outcome.unlink(missing_ok=True)
        (place / "parameters.json").write_text(json.dumps(dict(parameters or {})), encoding="utf-8")
        command = [str(build.executable)]
        if waves is not None:
            waves.parent.mkdir(parents=True, exist_ok=True)
            command += ["--trace", "--trace-file", str(waves.resolve())]
        environment = _environment(build, test_module) | {
            "COCOTB_RESULTS_FILE": str(outcome),
            _PARAMETERS: str(place / "parameters.json"),
            _RESULTS: str(results.path),
        }
        if testcase is not None:
            environment["COCOTB_TEST_FILTER"] = testcase
        if seed is not None:
            environment["COCOTB_RANDOM_SEED"] = str(seed)

        def show(line: str) -> None:
            results.take()
            on_line(line)

        code, tail = _stream(command, place, environment, show, timeout)
        _check(outcome, code, tail, test_module)
        results.take()
        return results.last


def parameters() -> dict[str, Any]:
    """Returns, in a testbench, the parameters that `run_cocotb` was given."""
    return json.loads(Path(os.environ[_PARAMETERS]).read_text(encoding="utf-8"))


def write_results(data: Any) -> None:
    """Hands, in a testbench, data to `run_cocotb`; they must fit into JSON."""
    with Path(os.environ[_RESULTS]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(data) + "\n")
    # A line of output is what makes the other side look at the file.
    logging.getLogger("cocotb").info("wrote a result")


class _Results:
    """Holds what a testbench has written so far, a line of JSON each."""

    def __init__(self, path: Path, on_result: Callable[[Any], None]):
        path.write_bytes(b"")
        self.path = path
        self.last: Any = None
        self._on_result = on_result
        self._taken = 0

    def take(self) -> None:
        """Passes on what has come whole since the last time."""
        with self.path.open("rb") as file:
            file.seek(self._taken)
            lines = file.read().splitlines(keepends=True)
        for line in lines:
            if line.endswith(b"\n"):
                self._taken += len(line)
                self.last = json.loads(line)
                self._on_result(self.last)


def _at_run_time(libraries: Path) -> list[str]:
    """Makes a program look for its libraries there; the usual -Wl splits a path at commas."""
    return ["-Xlinker", "-rpath", "-Xlinker", str(libraries)]


def _environment(build: Build, test_module: str) -> dict[str, str]:
    library = find_libpython.find_libpython()
    if library is None:
        version = "{}.{}".format(*sys.version_info)
        raise HoldfastError(
            f"The shared library of Python {version} is missing; install it with "
            f"`sudo apt install libpython{version}`."
        )
    libraries = str(cocotb_config.libs_dir)
    environment = dict(os.environ)
    # cocotb behaves differently inside pytest; this process is not.
    environment.pop("PYTEST_CURRENT_TEST", None)
    return environment | {
        "PATH": os.pathsep.join([environment.get("PATH", ""), libraries]),
        "PYTHONPATH": os.pathsep.join([os.getcwd(), *filter(None, sys.path)]),
        "PYGPI_PYTHON_BIN": sys.executable,
        "GPI_USERS": ";".join([library, cocotb_config.pygpi_entry_point()]),
        "COCOTB_TOPLEVEL": build.netlist.top,
        "COCOTB_TEST_MODULES": test_module,
        "COCOTB_TRUST_INERTIAL_WRITES": "1",
        "COCOTB_ANSI_OUTPUT": "0",
        "TOPLEVEL_LANG": "verilog",
    }


def _stream(
    command: list[str],
    folder: Path,
    environment: dict[str, str],
    show: Callable[[str], None],
    timeout: float | None,
) -> tuple[int, list[str]]:
    """Runs `command`; returns its exit code and the last lines that it printed."""
    tail: list[str] = []
    with child(
        command, cwd=folder, env=environment, encoding="utf-8", errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        limit = threading.Timer(timeout or 0, kill, [process])
        if timeout is not None:
            limit.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                line = line.rstrip("\n")
                tail = [*tail[-199:], line]
                show(line)
            return process.wait(), tail
        finally:
            limit.cancel()


def _check(outcome: Path, code: int, tail: list[str], test_module: str) -> None:
    """Raises what went wrong, if anything did; the exit code alone does not tell."""
    last = "\n".join(tail[-40:])
    if not outcome.is_file():
        raise SimulationError(
            f"the simulation of {test_module} ended with exit code {code} before its tests did:\n"
            f"{last}"
        )
    cases = list(ElementTree.parse(outcome).getroot().iter("testcase"))
    ran = [case for case in cases if case.find("skipped") is None]
    if not ran:
        raise SimulationError(f"no test of {test_module} ran:\n{last}")
    for case in ran:
        for kind in ("failure", "error"):
            problem = case.find(kind)
            if problem is not None:
                message = problem.get("message") or problem.get("error_msg") or problem.text or ""
                raise SimulationError(
                    f"{test_module}.{case.get('name')} failed: {message.strip()}\n{last}"
                )
    if code:
        raise SimulationError(
            f"the simulation of {test_module} ended with exit code {code}:\n{last}"
        )
