"""Turns a netlist into compiled C++: Verilator, the compiler and a cache of what they made.

    folder = cached("compiled", [netlist.hash, ...], make)     # make(folder) runs at most once
    sources = verilate(netlist, folder, prefix="Vmodel", options=["-O3"])
    objects = compile_sources(sources, folder, flags)

The generated makefiles are not used: calling the compiler directly needs no make, works with the
Verilator of the Python package, which lacks its configuration, and shares one compiled copy of
Verilator's runtime between all designs.
"""

import concurrent.futures
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from holdfast.base.artefact import made
from holdfast.base.errors import HoldfastError, disk_reason
from holdfast.base.files import cache_folder, make_folder
from holdfast.base.processes import run_tool
from holdfast.sim.netlist.netlist import Netlist

from .tools import Tools, find_tools

_OPTIONS = [
    # Redundant registers are the point of some designs: they must not become one.
    "-fno-dedup",
    "--x-initial", "0",
    "--x-assign", "0",
    "--default-language", "1364-2005",
    "--timescale", "1ns/1ps",
    "--quiet",
    "-Wno-lint",
    "-Wno-fatal",
]  # fmt: skip
_JOINED_BYTES = 1 << 20
"""Of source in a joined file: compiling that takes several times as long as reading headers."""


def tool_versions() -> list[str]:
    """Returns what the tools' output depends on besides their input."""
    tools = find_tools()
    return [tools.verilator_version, tools.compiler_version, str(tools.verilator_root)]


def cached(kind: str, key: Iterable[str], make: Callable[[Path], None]) -> Path:
    """The folder that `make` filled for this `key`, as `base.artefact.made` has it."""
    folder = cache_place(kind, key)
    if not folder.is_dir():
        try:
            make_folder(folder.parent)
        except HoldfastError as error:
            raise HoldfastError(
                f"{str(error).removesuffix('.')}; HOLDFAST_CACHE names another one."
            ) from None
    return made(folder, make)


def cache_place(kind: str, key: Iterable[str]) -> Path:
    """Returns the folder in which :func:`cached` keeps what it made for a `key`, there or not."""
    digest = hashlib.sha256("\0".join(key).encode()).hexdigest()[:24]
    return cache_folder("cache") / kind / digest


def verilate(netlist: Netlist, folder: Path, prefix: str, options: Sequence[str]) -> list[Path]:
    """Runs Verilator in `folder` and returns the C++ files that it wrote."""
    tools = find_tools()
    source = folder / "design.v"
    source.write_text(netlist.verilog, encoding="utf-8")
    names = ["--prefix", prefix, "--top-module", netlist.top, "-Mdir", "."]
    command = [tools.verilator, "--cc", *names, *_OPTIONS, *options, source.name]
    _run(command, folder, tools)
    return sorted(path for path in folder.glob(f"{prefix}*.cpp"))


def item_names(netlist: Netlist) -> list[str]:
    """Lists the names of a netlist's ports, flip-flops and memories, in this order."""
    state = [*(item.name for item in netlist.flip_flops), *(item.name for item in netlist.memories)]
    return [*(port.name for port in netlist.ports), *state]


def public(netlist: Netlist, names: Iterable[str]) -> str:
    """Writes the configuration that makes Verilator keep some items readable and writable."""
    lines = [f'public_flat_rw -module "{netlist.top}" -var "{name}"\n' for name in names]
    return "`verilator_config\n" + "".join(lines)


def compiler_flags(*, trace: bool = False) -> list[str]:
    """Returns what every file that includes Verilator's headers is compiled with."""
    root = find_tools().verilator_root / "include"
    defines = {
        "VERILATOR": 1,
        "VM_COVERAGE": 0,
        "VM_SC": 0,
        "VM_TIMING": 0,
        "VM_TRACE": int(trace),
        "VM_TRACE_FST": 0,
        "VM_TRACE_SAIF": 0,
        "VM_TRACE_VCD": int(trace),
    }
    return [
        "-std=gnu++20", "-w", "-fPIC", "-faligned-new",
        "-I.", f"-I{root}", f"-I{root / 'vltstd'}",
        *(f"-D{name}={value}" for name, value in defines.items()),
    ]  # fmt: skip


def compile_sources(sources: Sequence[Path], folder: Path, flags: Sequence[str]) -> list[Path]:
    """Compiles `sources` into object files in `folder`, as many at once as cores.

    Small files are joined: reading Verilator's headers is most of their time.
    """
    tools = find_tools()

    def compile_one(source: Path) -> Path:
        target = folder / f"{source.stem}.o"
        _run([tools.compiler, *flags, "-c", str(source), "-o", target.name], folder, tools)
        return target

    with concurrent.futures.ThreadPoolExecutor(_cores()) as pool:
        return list(pool.map(compile_one, _joined(sources, folder)))


def _joined(sources: Sequence[Path], folder: Path) -> list[Path]:
    """Files that include all of `sources`: as many as cores, but none much smaller than needed."""
    if len(sources) == 1:
        return list(sources)
    sizes = {path: path.stat().st_size for path in sources}
    count = max(1, min(_cores(), sum(sizes.values()) // _JOINED_BYTES))
    groups: list[list[Path]] = [[] for _ in range(count)]
    for path in sorted(sources, key=sizes.__getitem__, reverse=True):
        min(groups, key=lambda group: sum(sizes[path] for path in group)).append(path)
    joined = [folder / f"joined{number}.cpp" for number in range(count)]
    for target, group in zip(joined, groups, strict=True):
        names = [path.name if path.parent == folder else path for path in sources if path in group]
        lines = [f'#include "{name}"\n' for name in names]
        target.write_text("".join(lines), encoding="utf-8")
    return joined


def link(objects: Sequence[Path], target: Path, flags: Sequence[str]) -> None:
    """Links `objects` into `target`."""
    tools = find_tools()
    names = [str(path) for path in objects]
    _run([tools.compiler, *names, "-o", target.name, *flags], target.parent, tools)


def runtime_objects(vpi: bool = False, trace: bool = False) -> list[Path]:
    """Verilator's own runtime, compiled once per machine."""
    names = ["verilated", "verilated_threads"]
    names += ["verilated_vpi"] * vpi + ["verilated_vcd_c"] * trace
    flags = ["-O1", *compiler_flags()]
    include = find_tools().verilator_root / "include"

    def object_of(name: str) -> Path:
        def make(folder: Path) -> None:
            compile_sources([include / f"{name}.cpp"], folder, flags)

        return cached("runtime", [name, *flags, *tool_versions()], make) / f"{name}.o"

    with concurrent.futures.ThreadPoolExecutor(_cores()) as pool:
        return list(pool.map(object_of, names))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _run(command: Sequence[str], folder: Path, tools: Tools) -> None:
    result = run_tool(command, folder, env=dict(tools.environment))
    if result.returncode:
        text = (result.stderr.strip() or result.stdout.strip())[-4000:]
        if reason := disk_reason(text):
            raise HoldfastError(f"cannot compile in {folder}: {reason}.")
        raise RuntimeError(f"{Path(command[0]).name} failed in {folder}:\n{text}")
