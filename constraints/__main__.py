"""Makes a bitstream for a board, or the Vivado project that makes one."""

import shutil
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.base import options
from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
from holdfast.base.files import make_folder, write_atomically, write_json
from holdfast.base.versions import versions
from holdfast.constraints.families.base import Cost
from holdfast.constraints.families.nextpnr import NextpnrFamily
from holdfast.constraints.families.registry import FAMILIES
from holdfast.constraints.flow.bitstream import (
    Placed,
    Synthesized,
    check_fit,
    pack,
    place,
    synthesize_board,
)
from holdfast.constraints.flow.eda_tools import program
from holdfast.constraints.flow.place_flow import NotRouted, PlaceFlow
from holdfast.constraints.flow.vivado import run_project, write_project
from holdfast.gen.config import AcceleratorConfig

from .boards import Board, board_names, find_board
from .speed import end_to_end_rate, inference_rate

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_NETWORKS = ("resnet8", "resnet20")
_TOO_SLOW = 1
_IMAGE = "holdfast"


@app.command(
    epilog="Examples: holdfast bitstream --board icebreaker; "
    "holdfast bitstream --board ulx3s --config my.toml --seeds 5"
)
def bitstream(
    board: Annotated[str, options.text(f"One of {', '.join(board_names())}.")],
    config: Annotated[
        Path | None, options.path("TOML file; without it, the board's own configuration.")
    ] = None,
    seeds: Annotated[int, options.whole(1, 20, "Placements to try; the fastest is taken.")] = 1,
    lut_multipliers: Annotated[
        int,
        options.whole(0, 256, "Processing elements whose multiplier is made of look-up tables."),
    ] = 0,
    checksum: Annotated[
        bool | None,
        typer.Option(
            "--checksum/--no-checksum",
            help="The serial port knows commands with a checksum; without the option, as the "
            "board's file says.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Make the bitstream even if it is too slow.")
    ] = False,
    output: Annotated[Path, options.path("Folder to write to.")] = Path("build/bitstream"),
) -> int:
    """Make a board's bitstream, or its Vivado project where only Vivado can."""
    found = find_board(board)
    if checksum is not None:
        if checksum and not found.baud:
            raise HoldfastError(f"{found.title} has no serial port that could have a checksum.")
        found = replace(found, checksum=checksum)
    chosen = AcceleratorConfig.from_toml(config) if config else found.config
    options.check_range(0, chosen.rows * chosen.cols, **{"--lut-multipliers": lut_multipliers})
    placeable = isinstance(FAMILIES[found.family], NextpnrFamily)
    for name in ("yosys", *(PlaceFlow.programs(found) if placeable else [])):
        program(name)
    folder = output / board
    make_folder(folder)
    begin = time.monotonic()
    with console.status(f"{found.title}, {chosen.name}") as status:

        def progress(text: str) -> None:
            status.update(f"{found.title}, {chosen.name}: {text}")

        design = synthesize_board(found, chosen, folder, progress, lut_multipliers)
        cost = design.cost
        console.print(
            f"{found.title}, {chosen.name}: {cost.lut} look-up tables, {cost.ff} flip-flops, "
            f"{cost.dsp} multiplier blocks, {cost.mem:g} block memories after synthesis"
        )
        check_fit(found, cost)
        summary = _facts(found, chosen, lut_multipliers, cost)
        if placeable:
            placed = _place(found, design, seeds, progress)
            summary |= _placement(placed, force, found, folder)
        else:
            progress("Vivado project")
            command = write_project(found, chosen, folder)
    summary |= {"seconds": round(time.monotonic() - begin, 1), "versions": versions()}
    write_json(folder / "summary.json", summary)
    if placeable:
        return _verdict(found, summary, force, folder)
    return _vivado(command, folder)


def _facts(
    board: Board, config: AcceleratorConfig, lut_multipliers: int, cost: Cost
) -> dict[str, Any]:
    """The part of the summary that needs no placement."""
    return {
        "board": board.name,
        "device": board.part,
        "config": config.values,
        "lut_multipliers": lut_multipliers,
        "checksum": board.checksum,
        "lut": cost.lut,
        "ff": cost.ff,
        "dsp": cost.dsp,
        "bram": cost.mem,
        "fmax_mhz": None,
        "target_mhz": board.core_mhz,
        "met": None,
        "bitstream": None,
        "bytes": None,
        "inferences_per_second": {n: inference_rate(n, config, board) for n in _NETWORKS},
        "end_to_end_per_second": {n: end_to_end_rate(n, config, board) for n in _NETWORKS},
    }


def _place(
    board: Board, design: Synthesized, seeds: int, progress: Callable[[str], None]
) -> list[Placed]:
    placed = []
    for seed in range(1, seeds + 1):
        try:
            found = place(board, design, seed, progress)
        except NotRouted as error:
            console.print(f"seed {seed}: {error}")
            continue
        placed.append(found)
        console.print(
            f"seed {seed}: {found.fmax_mhz:.1f} MHz of {board.core_mhz:g}, "
            f"least slack {found.slack_ns:.2f} ns, {found.seconds:.0f} s"
        )
    if not placed:
        raise HoldfastError(f"none of {seeds} placements could be routed; try more --seeds.")
    return placed


def _placement(placed: list[Placed], force: bool, board: Board, folder: Path) -> dict[str, Any]:
    """The summary's other part; makes the bitstream of the best placement."""
    best = max(placed, key=lambda p: (p.met, p.fmax_mhz))
    image = None
    for old in folder.glob(f"{_IMAGE}.*"):
        old.unlink()
    if best.met or force:
        made = pack(board, best)
        image = folder / f"{_IMAGE}{made.suffix}"
        write_atomically(image, made.read_bytes())
    return {
        "fmax_mhz": best.fmax_mhz,
        "met": best.met,
        "bitstream": str(image) if image else None,
        "bytes": image.stat().st_size if image else None,
        "seeds": {placement.seed: placement.fmax_mhz for placement in placed},
        "median_fmax_mhz": statistics.median(placement.fmax_mhz for placement in placed),
        "placement_seconds": [placement.seconds for placement in placed],
        "used": best.used,
        "slack_ns": best.slack_ns,
        "critical_path": best.critical,
    }


def _verdict(board: Board, summary: dict[str, Any], force: bool, folder: Path) -> int:
    if summary["met"]:
        console.print(
            f"{summary['bitstream']}: {summary['bytes']} bytes; {folder / 'summary.json'} written"
        )
        return 0
    console.print(
        f"{board.title} misses its clock by {-summary['slack_ns']:.2f} ns: "
        f"{summary['fmax_mhz']:.1f} MHz of {board.core_mhz:g}, slowest from "
        f"{summary['critical_path']}" + ("." if force else "; no bitstream without --force.")
    )
    return _TOO_SLOW


def _vivado(command: str, folder: Path) -> int:
    if shutil.which("vivado"):
        run_project(command)
    else:
        console.print(
            f"{folder}: a complete Vivado project. Vivado is not installed here, so it was not "
            f"run; where it is: {command}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(run(app))
