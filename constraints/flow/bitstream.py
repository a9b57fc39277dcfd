"""The steps of a bitstream: synthesis, placement and routing, packing, with a cache.

Each step leaves a hash of what it was made from beside its result, and one of the result; a step
whose hashes are still right is not run again, so that a build that was interrupted goes on where it
stopped.
"""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.base.artefact import damage, seal
from holdfast.base.console import complain
from holdfast.base.errors import HoldfastError
from holdfast.base.files import make_folder, write_atomically
from holdfast.constraints.boards import Board
from holdfast.constraints.design.top import DOUBLE, TOP, board_verilog
from holdfast.constraints.families.base import Cost
from holdfast.constraints.families.registry import FAMILIES
from holdfast.gen.config import AcceleratorConfig

from .eda_tools import program, program_identity
from .place_flow import LOG, NETLIST, REPORT, NotInTime, PlaceFlow
from .yosys import run_script

Progress = Callable[[str], None]

_KEY = "made_from"
DESIGN = "design.v"
_STATISTICS = "statistics.json"
_SECONDS = "seconds"
_VERILOG = "netlist.v"
_PHASE = re.compile(r"Info: (Packing|Running|Routing|Placing|Creating|Router)")
_UNITS = {"lut": "look-up tables", "ff": "flip-flops", "dsp": "multiplier blocks",
          "mem": "block memories"}  # fmt: skip


@dataclass(frozen=True)
class Synthesized:
    """Describes a board's design after synthesis.

    Attributes
    ----------
    folder : Path
        Holds ``design.v``, ``netlist.json`` and ``netlist.v``.
    cost : Cost
    cells : dict of int
        By type.
    """

    folder: Path
    cost: Cost
    cells: dict[str, int]


@dataclass(frozen=True)
class Placed:
    """Describes a board's design after placement and routing.

    Attributes
    ----------
    folder : Path
        Holds ``report.json`` and nextpnr's log.
    seed : int
    fmax_mhz : float
        Of the core clock.
    slack_ns : float
        The least of all clocks; negative where the design is too slow.
    critical : str
        Where the slowest path of the clock with the least slack begins and ends.
    used : dict of int
        Cells of the device that are used, by nextpnr's names.
    seconds : float
        What it took.
    """

    folder: Path
    seed: int
    fmax_mhz: float
    slack_ns: float
    critical: str
    used: dict[str, int]
    seconds: float

    @property
    def met(self) -> bool:
        """Tells whether every clock is as fast as it has to be."""
        return self.slack_ns >= 0


def synthesize_board(
    board: Board,
    config: AcceleratorConfig,
    folder: Path,
    progress: Progress,
    lut_multipliers: int = 0,
) -> Synthesized:
    """Synthesizes a board's top level.

    Parameters
    ----------
    folder : Path
        Each design has a folder of its own in it.
    lut_multipliers : int
        Processing elements, row by row, whose multiplier is made of look-up tables.

    Raises
    ------
    HoldfastError
        A tool is missing or failed.
    """
    progress("generating")
    verilog = board_verilog(board, config)
    family = FAMILIES[board.family]
    script = (
        f"read_verilog {DESIGN}\n{_mapping(family.flat, config, lut_multipliers)}"
        f"tee -q -o {_STATISTICS} stat -json\n"
        f"write_verilog -noattr {_VERILOG}\nwrite_json {NETLIST}\n"
    )
    key = _digest(verilog, script, program_identity("yosys"))
    place = folder / f"{config.name}_{key[:12]}" / "synthesis"
    outputs = [NETLIST, _VERILOG, _STATISTICS]
    if not _current(place, key, outputs):
        progress("synthesis")
        make_folder(place)
        for name in outputs:
            (place / name).unlink(missing_ok=True)
        (place / DESIGN).write_text(verilog, encoding="utf-8")
        run_script(place, script, program("yosys"))
        _mark(place, key, outputs)
    cells = json.loads((place / _STATISTICS).read_text(encoding="utf-8"))["modules"][f"\\{TOP}"]
    by_type = cells["num_cells_by_type"]
    return Synthesized(place, family.cells.cost(by_type), by_type)


def _mapping(flat: str, config: AcceleratorConfig, lut_multipliers: int) -> str:
    """Yosys commands that map the design, some multipliers to look-up tables."""
    cells = [(row, col) for row in range(config.rows) for col in range(config.cols)]
    # Yosys's own mapping leaves cells of this type alone and turns them back into $mul afterwards.
    soft = "".join(
        f"chtype -set $__soft_mul c:*pe_{row}_{col}.$mul*\n" for row, col in cells[:lut_multipliers]
    )
    if soft:
        soft = f"opt_expr\nopt_clean\nwreduce t:$mul\n{soft}"
    return (
        f"{flat} -top {TOP} -run begin:coarse\nproc\nflatten\n"
        # Otherwise equal registers of the lanes would become one.
        "setattr -set keep 1 w:*weights.*_address_* %ci1:+[Q] c:* %i\n"
        f"{soft}{flat} -top {TOP} -run coarse:\n"
    )


def check_fit(board: Board, cost: Cost) -> None:
    """Raise HoldfastError if the device has less of anything than the design needs."""
    for name, unit in _UNITS.items():
        need, have = getattr(cost, name), getattr(board, name)
        if need > have:
            raise HoldfastError(
                f"the configuration does not fit {board.title}: it needs {need:g} {unit}, "
                f"the device has {have}."
            )


def place(
    board: Board, design: Synthesized, seed: int, progress: Progress, time_first: bool = True
) -> Placed:
    """Places and routes a synthesized design.

    Parameters
    ----------
    time_first : bool
        Do all for the clock that the tools can. That takes several times as long, and not every
        seed comes to an end.

    Raises
    ------
    NotRouted
        This seed's placement cannot be routed.
    HoldfastError
        nextpnr failed, which is often for lack of room.
    """
    netlist = design.folder / NETLIST
    folder = design.folder.parent / f"seed_{seed}"
    make_folder(folder)
    for source in (netlist, board.pin_file):
        # A link would do, but the file has to look old to make.
        if not (folder / source.name).exists() or (
            (folder / source.name).read_bytes() != source.read_bytes()
        ):
            shutil.copyfile(source, folder / source.name)
    flow = PlaceFlow.make(board, folder, seed, time_first)
    options = (folder / "Makefile").read_text(encoding="utf-8")
    key = _digest(
        netlist.read_text(encoding="utf-8"), board.pin_file.read_text(encoding="utf-8"), options,
        program_identity(PlaceFlow.programs(board)[0]),
    )  # fmt: skip
    outputs = [flow.placed, REPORT, _SECONDS]
    if not _current(folder, key, outputs):
        (folder / flow.placed).unlink(missing_ok=True)
        (folder / flow.bitstream).unlink(missing_ok=True)
        begin = time.monotonic()
        (folder / LOG).unlink(missing_ok=True)
        progress(f"seed {seed}: placement and routing")
        try:
            flow.run(flow.placed, lambda lines: _phase(lines, f"seed {seed}", progress))
        except NotInTime:
            # How fast it is without that, the report can tell.
            flow = PlaceFlow.make(board, folder, seed, time_first=False)
            flow.run(flow.placed, lambda lines: _phase(lines, f"seed {seed}", progress))
        (folder / _SECONDS).write_text(f"{time.monotonic() - begin:.1f}", encoding="utf-8")
        _mark(folder, key, outputs)
    return read_report(board, folder, seed)


def read_report(board: Board, folder: Path, seed: int) -> Placed:
    """Returns what nextpnr's report in a folder says."""
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    clocks = report["fmax"]
    if not clocks:
        raise HoldfastError(f"{folder / REPORT} knows no clock.")
    period = 1000 / board.core_mhz
    core = next((name for name in clocks if not name.endswith(f"{DOUBLE}_clk")), "")
    slack = {
        (name, name): (period if name == core else period / 2) - 1000 / values["achieved"]
        for name, values in clocks.items()
    }
    for found in report.get("critical_paths", []):
        ends = _clocks(found)
        if ends[0] != ends[1] and clocks.keys() >= {*ends}:
            # Between a clock and its double there is half a period; nextpnr knows of no relation.
            slack[ends] = period / 2 - sum(part["delay"] for part in found["path"])
    worst = min(slack, key=lambda ends: slack[ends])
    return Placed(
        folder=folder,
        seed=seed,
        fmax_mhz=round(clocks[core]["achieved"], 2),
        slack_ns=round(slack[worst], 3),
        critical=_critical(report, worst),
        used={name: values["used"] for name, values in report["utilization"].items()},
        seconds=float((folder / _SECONDS).read_text(encoding="utf-8")),
    )


def pack(board: Board, placed: Placed) -> Path:
    """Returns the bitstream of a placed design.

    Raises
    ------
    HoldfastError
        The packer failed.
    """
    flow = PlaceFlow.make(board, placed.folder, placed.seed)
    flow.run(flow.bitstream)
    return placed.folder / flow.bitstream


def _critical(report: dict[str, Any], clocks: tuple[str, str]) -> str:
    """Ends of the slowest path from one clock to another or the same."""
    for found in report.get("critical_paths", []):
        path = found["path"]
        if _clocks(found) == clocks and path:
            return f"{path[0]['from']['cell']} to {path[-1]['to']['cell']}"
    return "unknown"


def _clocks(path: dict[str, Any]) -> tuple[str, str]:
    """The clocks of the ends of a path, which nextpnr calls ``posedge NAME``."""
    return path["from"].partition(" ")[2], path["to"].partition(" ")[2]


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _current(folder: Path, key: str, outputs: list[str]) -> bool:
    """Tells whether a step's results are there, made from this and as they were made."""
    mark = folder / _KEY
    if not mark.is_file() or mark.read_bytes() != key.encode():
        return False
    wrong = damage(folder, [*outputs, _KEY])
    if wrong:
        complain(f"{folder} is {wrong}: made anew.")
    return not wrong


def _mark(folder: Path, key: str, outputs: list[str]) -> None:
    write_atomically(folder / _KEY, key.encode())
    seal(folder, [*outputs, _KEY])


def _phase(lines: list[str], what: str, progress: Progress) -> None:
    """Tell what the end of a log says is being done."""
    for line in reversed(lines):
        if _PHASE.match(line):
            progress(f"{what}: {line.removeprefix('Info: ').rstrip('.')}")
            return
