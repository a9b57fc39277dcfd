"""Lets a finished campaign say where another draws its faults.

division = divided(plan, PriorCampaign.load(folder), manifest(spec, plan), "sdc1")
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.base.errors import HoldfastError
from holdfast.base.text import printable
from holdfast.fault.results.rows import Rows
from holdfast.fault.sampling.division import Division, Tally, divide
from holdfast.fault.sampling.plan import Plan

from .manifest import Manifest
from .prior import PriorCampaign

METRICS = ("sdc1", "undetected_sdc1", "avf", "benign", "stopped", "hang")
"""Shares that a pilot can make exact."""
_SAME = {"design": "another design", "network": "another network",
         "model": "another fault model", "filters": "another part of the space"}  # fmt: skip
_SHAKEN = 0.3
"""How much a fault tells of SDC-1 that only changed the confidence by a tenth."""


def divided(plan: Plan, pilot: PriorCampaign, here: Manifest, metric: str) -> Division:
    """Returns strata by what a pilot saw of a share.

    Raises
    ------
    HoldfastError
        The pilot is of another design, network, fault model or part of the space, or damaged,
        or had a pilot and the same seed.
    """
    check_pilot(pilot, here.seed, **{key: getattr(here, key) for key in _SAME})
    tables = [pilot.table(path) for path in pilot.shards()]
    rows, images = Rows(tables, ("word", "cycle")), pilot.summary.images
    kinds = rows.kinds()
    harm = kinds[metric].astype(float)
    if metric.endswith("sdc1"):
        harm = np.maximum(harm, _SHAKEN * (kinds["sdc10"] & ~kinds["stopped"] & ~kinds["hang"]))
    tallies = {}
    for name in plan.structures:
        some = rows.faults(name)
        cells, size = _cells(plan, name, rows, some), int(np.prod(plan.cells.shape(name))) + 1
        tallies[name] = Tally(
            np.bincount(cells, harm[some], size) / images,
            np.bincount(cells, minlength=size) / images,
        )
    return divide(plan.cells, plan.structures, tallies)


def check_pilot(pilot: PriorCampaign, seed: int, **here: Any) -> None:
    """Compares what is known so far of a campaign with its pilot; raises as `divided` does."""
    for key, what in _SAME.items():
        if key in here and getattr(pilot.manifest, key) != here[key]:
            raise HoldfastError(
                f"{printable(pilot.folder)} is no pilot of this campaign: it is of {what}."
            )
    if pilot.manifest.pilot and pilot.manifest.seed == seed:
        raise HoldfastError(
            f"{printable(pilot.folder)} had a pilot itself and drew by the seed {seed} as "
            "well: give another seed, or some of its draws are made again."
        )


def _cells(plan: Plan, structure: str, rows: Rows, some: NDArray) -> NDArray[np.int64]:
    """Returns the cells of rows of a structure."""
    members = plan.space.members(structure)
    number = {state.signal: index for index, state in enumerate(members)}
    states = np.array([number.get(signal, 0) for signal in rows.names["signal"]])
    widths = np.array([plan.model.places(plan.whole, s) // s.depth for s in members])
    columns = {key: rows.columns[key][some] for key in ("signal", "word", "bit", "cycle")}
    mine = states[columns["signal"]]
    places = columns["word"] * widths[mine] + columns["bit"]
    return plan.cells.of(structure, mine, places, columns["cycle"])
