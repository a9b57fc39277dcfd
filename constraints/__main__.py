"""Makes a bitstream for a board, or the Vivado project that makes one."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.base import options
from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
from holdfast.constraints.flow.build import build
from holdfast.constraints.flow.vivado import project_command, run_project
from holdfast.gen.configuration_file import read_configuration

from .boards import Board, board_names, find_board

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_TOO_SLOW = 1


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
    chosen = read_configuration(config) if config else found.config
    folder = output / board
    with console.status(f"{found.title}, {chosen.name}") as status:
        summary = build(
            found,
            chosen,
            folder,
            seeds=seeds,
            lut_multipliers=lut_multipliers,
            force=force,
            said=console.print,
            progress=lambda text: status.update(f"{found.title}, {chosen.name}: {text}"),
        )
    if summary["met"] is not None:
        return _verdict(found, summary, force, folder)
    return _vivado(project_command(found, folder), folder)


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
