"""``python -m constraints``: a bitstream for a board, or the Vivado project that makes one."""

import json
import shutil
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from gen.command import run
from gen.config import AcceleratorConfig
from gen.errors import HoldfastError
from gen.files import make_folder, write_atomically

from .bitstream import check_fit, pack, place, synthesize_board
from .boards import Board, board_names, find_board
from .eda_tools import program
from .place_flow import PlaceFlow
from .speed import end_to_end_rate, inference_rate
from .vivado import run_project, write_project

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console()

_NETWORKS = ("resnet8", "resnet20")
_TOO_SLOW = 1


@app.command(
    epilog="Examples: nox -s bitstream -- --board icebreaker; "
    "nox -s bitstream -- --board ulx3s --config my.toml --seeds 5"
)
def bitstream(
    board: Annotated[str, typer.Option(help=f"One of {', '.join(board_names())}.")],
    config: Annotated[
        Path | None, typer.Option(help="TOML file; without it, the board's own configuration.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="Placements to try, 1 to 20; the fastest is taken.")
    ] = 1,
    force: Annotated[
        bool, typer.Option("--force", help="Make the bitstream even if it is too slow.")
    ] = False,
    output: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("build/bitstream"),
) -> int:
    """Make a board's bitstream, or its Vivado project where only Vivado can."""
    found = find_board(board)
    if not 1 <= seeds <= 20:
        raise HoldfastError(f"--seeds must be 1 to 20, not {seeds}.")
    chosen = AcceleratorConfig.from_toml(config) if config else found.config
    if not found.open:
        make_folder(output / board)
        command = write_project(found, chosen, output / board)
        if shutil.which("vivado"):
            run_project(command)
        else:
            console.print(
                f"{output / board}: a complete Vivado project. Vivado is not installed here, so it "
                f"was not run; where it is: {command}",
                soft_wrap=True,
            )
        return 0
    for name in ("yosys", *PlaceFlow.programs(found)):
        program(name)
    make_folder(output / board)
    return _build(found, chosen, seeds, force, output / board)


def _build(board: Board, config: AcceleratorConfig, seeds: int, force: bool, folder: Path) -> int:
    begin = time.monotonic()
    with console.status(f"{board.title}: synthesis") as status:

        def progress(text: str) -> None:
            status.update(f"{board.title}, {config.name}: {escape(text)}")

        design = synthesize_board(board, config, folder, progress)
        cost = design.cost
        console.print(
            f"{board.title}, {config.name}: {cost.lut} look-up tables, {cost.ff} flip-flops, "
            f"{cost.dsp} multiplier blocks, {cost.mem:g} block memories after synthesis"
        )
        check_fit(board, cost)
        placed = []
        for seed in range(1, seeds + 1):
            placed.append(place(board, design, seed, progress))
            console.print(
                f"seed {seed}: {placed[-1].fmax_mhz:.1f} MHz of {board.core_mhz:g}, "
                f"least slack {placed[-1].slack_ns:.2f} ns, {placed[-1].seconds:.0f} s"
            )
        best = max(placed, key=lambda p: (p.met, p.fmax_mhz))
        image = None
        if best.met or force:
            progress("packing")
            made = pack(board, best)
            image = folder / f"holdfast{made.suffix}"
            shutil.copyfile(made, image)
    measured = {
        name: (inference_rate(name, config, board), end_to_end_rate(name, config, board))
        for name in _NETWORKS
    }
    summary = {
        "board": board.name,
        "device": board.part,
        "config": asdict(config),
        "lut": cost.lut,
        "ff": cost.ff,
        "dsp": cost.dsp,
        "bram": cost.mem,
        "fmax_mhz": best.fmax_mhz,
        "target_mhz": board.core_mhz,
        "met": best.met,
        "bitstream": str(image) if image else None,
        "bytes": image.stat().st_size if image else None,
        "seconds": round(time.monotonic() - begin, 1),
        "inferences_per_second": {name: rates[0] for name, rates in measured.items()},
        "end_to_end_per_second": {name: rates[1] for name, rates in measured.items()},
        "seeds": {placement.seed: placement.fmax_mhz for placement in placed},
        "median_fmax_mhz": statistics.median(placement.fmax_mhz for placement in placed),
        "placement_seconds": [placement.seconds for placement in placed],
        "used": best.used,
        "critical_path": best.critical,
    }
    write_atomically(folder / "summary.json", json.dumps(summary, indent=2).encode() + b"\n")
    if not best.met:
        console.print(
            f"{board.title} misses its clock by {-best.slack_ns:.2f} ns: {best.fmax_mhz:.1f} MHz "
            f"of {board.core_mhz:g}, slowest from {best.critical}"
            + ("." if force else "; no bitstream without --force.")
        )
        return _TOO_SLOW
    console.print(f"{image}: {summary['bytes']} bytes; {folder / 'summary.json'} written")
    return 0


if __name__ == "__main__":
    sys.exit(run(app))
