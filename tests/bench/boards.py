"""``nox -s bench -- boards``: what the range guard costs on the boards, in area and clock.

The same configuration with and without the guard that has fixed bounds; the area of the one with
learnt bounds beside it. Without open place and route there is the area alone. Clocks are medians
over placement seeds, with the tools' own weights: with those that bitstreams are made with some
seeds do not come to an end.
"""

import contextlib
import json
import statistics
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
from holdfast.base.files import make_folder, write_atomically
from holdfast.constraints.boards import Board, board_names, find_board
from holdfast.constraints.families.nextpnr import NextpnrFamily
from holdfast.constraints.families.registry import FAMILIES
from holdfast.constraints.flow.bitstream import (
    Placed,
    Synthesized,
    check_fit,
    place,
    synthesize_board,
)
from holdfast.constraints.flow.place_flow import NotRouted

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_MOST_SEEDS = 20


@app.command()
def boards(
    board: Annotated[
        list[str] | None, typer.Option(help="A board; may be repeated. Without it, all.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Placements per design.")] = 5,
    output: Annotated[Path, typer.Option(help="JSON file.")] = Path("build/bench/boards.json"),
) -> None:
    """Measure the guard's cost on boards."""
    if seeds < 1:
        raise HoldfastError(f"--seeds must be at least 1, not {seeds}.")
    chosen = [find_board(name) for name in board or board_names()]
    make_folder(output.parent)
    results: dict[str, Any] = json.loads(output.read_text()) if output.is_file() else {}
    for found in chosen:
        results[found.name] = _measure(found, seeds)
        write_atomically(output, json.dumps(results, indent=2).encode() + b"\n")
        console.print(found.name, results[found.name])


def _measure(board: Board, seeds: int) -> dict[str, Any]:
    folder = Path("build/bench/boards") / board.name
    entry: dict[str, Any] = {"config": board.config.values}
    for guard in (False, True):
        config = board.config.with_(guard=guard, learnt_bounds=False)
        design = synthesize_board(board, config, folder, _say)
        check_fit(board, design.cost)
        clocks = {}
        if isinstance(FAMILIES[board.family], NextpnrFamily):
            clocks = _clocks(board, design, seeds)
        entry["guard" if guard else "bare"] = {**asdict(design.cost), **clocks}
    learnt = board.config.with_(guard=True, learnt_bounds=True)
    entry["learnt_bounds"] = asdict(synthesize_board(board, learnt, folder, _say).cost)
    return entry


def _clocks(board: Board, design: Synthesized, seeds: int) -> dict[str, Any]:
    """Places until so many seeds are routed."""
    placed: list[Placed] = []
    seed = 0
    while len(placed) < seeds:
        seed += 1
        if seed > _MOST_SEEDS:
            raise HoldfastError(f"{board.title}: {len(placed)} of {_MOST_SEEDS} seeds routed.")
        with contextlib.suppress(NotRouted):
            placed.append(place(board, design, seed, _say, time_first=False))
    clocks = [placement.fmax_mhz for placement in placed]
    return {
        "used": placed[0].used,
        "seeds": [placement.seed for placement in placed],
        "fmax_mhz": clocks,
        "median_fmax_mhz": statistics.median(clocks),
    }


def _say(_: str) -> None:
    """The figures are all there is to say."""


if __name__ == "__main__":
    sys.exit(run(app))
