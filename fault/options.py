"""The campaign's options, and what their texts mean."""

import re
from pathlib import Path
from typing import Annotated

import typer

from holdfast.base import options
from holdfast.base.errors import HoldfastError
from holdfast.base.options import words
from holdfast.base.text import shown
from holdfast.fault.campaign.pilot import METRICS
from holdfast.fault.sampling.plan import MOST_FAULTS
from holdfast.nn.data.choice import MOST_IMAGES

_ELEMENT = re.compile(r"(\d{1,3})\.(\d{1,3})", re.ASCII)
_MOST = 1e12


def element(text: str) -> tuple[int, int]:
    """Reads row and column of a processing element, given as 3.4; HoldfastError if it is none."""
    found = _ELEMENT.fullmatch(text)
    if found is None:
        raise HoldfastError(f"a processing element is ROW.COLUMN, not {shown(text)}.")
    return int(found[1]), int(found[2])


def rates(text: str) -> dict[str, float]:
    """Reads raw rates, given as flip-flop=A,memory=B; HoldfastError if they are not."""
    if not text:
        return {}
    found: dict[str, float] = {}
    for part in words(text):
        name, _, value = part.partition("=")
        if name in found:
            raise HoldfastError(f"--fit has {name} twice.")
        try:
            found[name] = float(value)
        except ValueError:
            raise HoldfastError(f"--fit takes NAME=NUMBER, not {shown(part)}.") from None
    if found.keys() != {"flip-flop", "memory"} or not all(0 <= v <= _MOST for v in found.values()):
        raise HoldfastError(
            f"--fit needs flip-flop=A,memory=B, both 0 to {_MOST:g}, not {shown(text)}."
        )
    return found


Images = Annotated[int, options.whole(1, MOST_IMAGES, "Images that every fault is injected into.")]
Faults = Annotated[int, options.whole(1, MOST_FAULTS, "Faults to draw.")]
Margin = Annotated[
    str, options.text("Error margin that decides the number of faults, such as 0.5%.")
]
Confidence = Annotated[str, options.text("Of all intervals.")]
StopAt = Annotated[str, options.text("Stop once the interval of --metric is this +- or less.")]
Minimum = Annotated[
    int, options.whole(0, MOST_FAULTS, "Least faults of a structure, or all of it.")
]
Structures = Annotated[str, options.text("Comma-separated; all if empty.")]
Pattern = Annotated[str, options.text("Regular expression in the name of a register or memory.")]
Pes = Annotated[str, options.text("Processing elements, such as 0.0,3.4.")]
Layers = Annotated[str, options.text("Comma-separated; all if empty.")]
Phases = Annotated[str, options.text("fetch, stream, drain; all if empty.")]
Bits = Annotated[int, options.whole(1, 4, "Adjacent bits that are upset together.")]
Stuck = Annotated[int | None, options.whole(0, 1, "Stuck at this value instead of an upset.")]
Duration = Annotated[int, options.whole(0, 10**9, "Cycles of a stuck bit; 0: endless.")]
Cycles = Annotated[str, options.text("all, or the shortcut first-mac: tiles' first products.")]
Requantize = Annotated[str, options.text("sum, or a shortcut: slice or tile of it alone.")]
Patterns = Annotated[
    bool, typer.Option("--patterns", help="Store what was wrong in the layer that was struck.")
]
Pilot = Annotated[Path | None, options.path("Finished campaign that says where to draw.")]
Metric = Annotated[str, options.text(f"For --pilot, --stop-at: {', '.join(METRICS)}.")]
Audit = Annotated[str, options.text("Share of the faults that plain RTL computes again.")]
Comparison = Annotated[
    str, options.text("Guard settings to compare on the same faults.", "--compare")
]
Against = Annotated[
    str, options.text("Finished campaigns to compare with: comma-separated folders.", paths=True)
]
Fit = Annotated[str, options.text("Raw rates, FIT per 2**20 bits: flip-flop=A,memory=B.")]
EnvironmentFile = Annotated[
    Path | None, options.path("TOML file with upset rates.", typer.Option,
                              "--environment")
]  # fmt: skip
Processes = Annotated[int, options.whole(1, 256, "Local processes.")]
Scheduler = Annotated[str, options.text("Address of a Dask scheduler to use.")]
Unit = Annotated[int, options.whole(1, 100_000, "Faults of a work unit.")]
Store = Annotated[Path | None, options.path("Folder of the campaign.")]
Replay = Annotated[str, options.text("Repeat one fault by its id.")]
