"""From a board and a configuration to a bitstream, or to the Vivado project that makes one.

summary = build(find_board("icebreaker"), config, Path("build/bitstream/icebreaker"), seeds=3)
summary["fmax_mhz"], summary["bitstream"]
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast.base import options
from holdfast.base.errors import HoldfastError
from holdfast.base.files import make_folder, write_atomically, write_json
from holdfast.base.versions import versions
from holdfast.constraints.boards import Board
from holdfast.constraints.families.base import Cost
from holdfast.constraints.families.nextpnr import NextpnrFamily
from holdfast.constraints.families.registry import FAMILIES
from holdfast.constraints.speed import end_to_end_rate, inference_rate
from holdfast.gen.config import AcceleratorConfig

from .bitstream import Placed, Progress, Synthesized, check_fit, pack, place, synthesize_board
from .eda_tools import program
from .place_flow import NotRouted, PlaceFlow
from .vivado import write_project

_NETWORKS = ("resnet8", "resnet20")
_IMAGE = "holdfast"


def _silent(text: str) -> None:
    """Tells nobody."""


def build(
    board: Board,
    config: AcceleratorConfig,
    folder: Path,
    *,
    seeds: int = 1,
    lut_multipliers: int = 0,
    force: bool = False,
    said: Callable[[str], None] = _silent,
    progress: Progress = _silent,
) -> dict[str, Any]:
    """Makes a board's bitstream, or its Vivado project where only Vivado can.

    Parameters
    ----------
    seeds : int
        Placements to try; the fastest is taken.
    lut_multipliers : int
        Processing elements whose multiplier is made of look-up tables.
    force : bool
        Whether to make the bitstream even if it is too slow.
    said, progress : function
        Are called with every result, and with what is being done.

    Returns
    -------
    dict
        What ``summary.json`` in `folder` holds: cost, clock, whether it is ``met``, rates.

    Raises
    ------
    HoldfastError
        A tool is missing or failed, the design does not fit, or no placement could be routed.
    """
    options.check_range(0, config.rows * config.cols, **{"--lut-multipliers": lut_multipliers})
    placeable = isinstance(FAMILIES[board.family], NextpnrFamily)
    for name in ("yosys", *(PlaceFlow.programs(board) if placeable else [])):
        program(name)
    make_folder(folder)
    begin = time.monotonic()
    design = synthesize_board(board, config, folder, progress, lut_multipliers)
    cost = design.cost
    said(
        f"{board.title}, {config.name}: {cost.lut} look-up tables, {cost.ff} flip-flops, "
        f"{cost.dsp} multiplier blocks, {cost.mem:g} block memories after synthesis"
    )
    check_fit(board, cost)
    summary = _facts(board, config, lut_multipliers, cost)
    if placeable:
        summary |= _placement(_place(board, design, seeds, said, progress), force, board, folder)
    else:
        progress("Vivado project")
        write_project(board, config, folder)
    summary |= {"seconds": round(time.monotonic() - begin, 1), "versions": versions()}
    write_json(folder / "summary.json", summary)
    return summary


def _facts(
    board: Board, config: AcceleratorConfig, lut_multipliers: int, cost: Cost
) -> dict[str, Any]:
    """Returns the part of the summary that needs no placement."""
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
    board: Board, design: Synthesized, seeds: int, said: Callable[[str], None], progress: Progress
) -> list[Placed]:
    placed = []
    for seed in range(1, seeds + 1):
        try:
            found = place(board, design, seed, progress)
        except NotRouted as error:
            said(f"seed {seed}: {error}")
            continue
        placed.append(found)
        said(
            f"seed {seed}: {found.fmax_mhz:.1f} MHz of {board.core_mhz:g}, "
            f"least slack {found.slack_ns:.2f} ns, {found.seconds:.0f} s"
        )
    if not placed:
        raise HoldfastError(f"none of {seeds} placements could be routed; try more seeds.")
    return placed


def _placement(placed: list[Placed], force: bool, board: Board, folder: Path) -> dict[str, Any]:
    """Returns the summary's other part; makes the bitstream of the best placement."""
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
