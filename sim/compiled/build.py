"""Compiles a netlist into a shared library whose state is plain memory.

The build is kept in the cache; the model of it is `sim.compiled.model.CompiledModel`.
"""

import platform
import re
from dataclasses import dataclass
from pathlib import Path

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

_HARNESS = Path(__file__).with_name("harness.cpp")
_LIBRARY = "model.so"
_SMALL = 280_000
"""Characters of Verilog; an array of 4x4 has more."""
# Not the copies of Verilator's own, such as __Vdly__, that a register is written through.
_MEMBER = re.compile(r"\b(?!__V)\w+?__DOT__(\w+);")
_PORT = re.compile(r"\bVL_(?:IN|OUT)\w*\((\w+),")
_NBA = re.compile(
    r"^void Vmodel___024root___eval_nba\([^)]*\) \{$(.*?)^\}$", re.DOTALL | re.MULTILINE
)
_CLOCKED = "(1ULL & vlSelfRef.__VnbaTriggered[0U])"


@dataclass(frozen=True)
class CompiledBuild:
    """Names a compiled engine; to those who run layers or faults, what `Build` is for cocotb.

    Attributes
    ----------
    netlist : Netlist
        What it simulates.
    library : Path
        The shared library.
    """

    netlist: Netlist
    library: Path


def build_compiled(netlist: Netlist) -> CompiledBuild:
    """Compiles `netlist` into a shared library, or takes the one in ``build/cache``."""

    def make(folder: Path) -> None:
        compile_model(netlist, folder)
        for path in folder.iterdir():
            if path.name not in (_LIBRARY, "design.v"):
                path.unlink()

    key = [netlist.hash, netlist.top, *item_names(netlist)]
    key += [*compiled_flags(netlist), *tool_versions()]
    folder = cached("compiled", [*key, processor(), _HARNESS.read_text(encoding="utf-8")], make)
    return CompiledBuild(netlist, folder / _LIBRARY)


def compiled_flags(netlist: Netlist) -> list[str]:
    """Options of the C++ compiler; a small design runs no slower with -O1."""
    level = "-O1" if len(netlist.verilog) < _SMALL else "-O2"
    return [level, "-march=native", *compiler_flags()]


def compile_model(netlist: Netlist, folder: Path) -> list[Path]:
    """Compiles `netlist` into `folder` / ``model.so``; returns its object files, all kept."""
    if not netlist.clock:
        raise ValueError(f"{netlist.top} has no clock")
    members: dict[str, str] = {}
    hidden: list[str] = []
    # What Verilator optimized away in the first attempt is made public in the second.
    for _ in range(2):
        (folder / "hidden.vlt").write_text(public(netlist, hidden), encoding="utf-8")
        for path in folder.glob("Vmodel*"):
            path.unlink()
        sources = verilate(netlist, folder, "Vmodel", ["-O3", "hidden.vlt"])
        members = storage_members(folder)
        hidden = [name for name in item_names(netlist) if name not in members]
        if not hidden:
            break
    if hidden:
        raise AssertionError(f"{netlist.top}: no storage found for {', '.join(hidden)}")
    harness = folder / "harness.cpp"
    direct = clock_triggers_all("".join(p.read_text(encoding="utf-8") for p in sources))
    harness.write_text(_harness(netlist, members, direct), encoding="utf-8")
    objects = compile_sources([*sources, harness], folder, compiled_flags(netlist))
    objects += runtime_objects()
    link(objects, folder / _LIBRARY, ["-shared", "-pthread"])
    return objects


def storage_members(folder: Path) -> dict[str, str]:
    """Returns the C++ member of every port and state item in the root class, by Verilog name."""
    header = "Vmodel___024root.h"
    known = {"Vmodel.h", "Vmodel__Syms.h", "Vmodel__pch.h", header}
    others = {path.name for path in folder.glob("Vmodel*.h")} - known
    if others:
        raise AssertionError(f"state outside the root class: {', '.join(sorted(others))}")
    text = (folder / header).read_text(encoding="utf-8")
    members = {
        match[1].replace("__05F", "_"): match[0].rstrip(";") for match in _MEMBER.finditer(text)
    }
    # Ports come last: a public copy of a port inside the design is not the port.
    for match in _PORT.finditer(text):
        members[match[1].removeprefix("__SYM__").replace("__05F", "_")] = match[1]
    return members


def clock_triggers_all(text: str) -> bool:
    """Tells whether the clock's edge is the model's only trigger, so that all that a cycle does is
    one call: known of the C++ that the present Verilator writes, else not.
    """
    bodies = _NBA.findall(text)
    conditions = [found for body in bodies for found in re.findall(r"\bif \((.*)\) \{", body)]
    return len(bodies) == 1 and set(conditions) == {_CLOCKED} and "___eval_act(" not in text


def _harness(netlist: Netlist, members: dict[str, str], direct: bool) -> str:
    names = item_names(netlist)
    entries = "".join(f"    ENTRY({members[name]}),\n" for name in names)
    return (
        _HARNESS.read_text(encoding="utf-8")
        .replace("@ENTRIES@", entries)
        .replace("@CLOCK@", members[netlist.clock])
        .replace("@PORTS@", str(len(netlist.ports)))
        .replace("@COUNT@", str(len(names)))
        .replace("@DIRECT@", str(int(direct)))
    )


def processor() -> str:
    """Returns the machine that -march=native means."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    return next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
