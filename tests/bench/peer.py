"""``nox -s bench -- peer``: what the shortcuts of the nearest fault injector do to failure shares.

Writes build/bench/peer.json. Faults in the registers of the processing elements during the
convolutions of one network on one array, on the same images, five times: exactly; only at first
multiply-accumulates; one slice of the reduction, or one tile, requantized alone; and as that
injector does, first multiply-accumulates of a tile alone (fault/peers). Where two campaigns
have the same faults they are compared fault by fault.

First multiply-accumulates fall on all layers alike, cycles on long layers more often. "alike" is
the exact campaign with the layers weighted alike: what differs from it is due to the moment.
"""

import io
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray
from rich.table import Table

from holdfast.base.command import run
from holdfast.base.console import console, marked
from holdfast.base.errors import HoldfastError
from holdfast.base.files import write_atomically
from holdfast.base.paired import Pairs, combined, independent
from holdfast.base.progress import progress_bar
from holdfast.base.statistics import Sample, stratified
from holdfast.base.table import plain_table
from holdfast.fault.campaign.golden_runs import golden_runs
from holdfast.fault.campaign.spec import CampaignSpec
from holdfast.fault.campaign.workers import run_units
from holdfast.fault.model.models.upset import UpsetModel
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.peers.shortcuts import EXACT, STRUCTURES, Shortcuts, convolutions
from holdfast.fault.results.rows import FAILURES
from holdfast.fault.results.summary import summarize
from holdfast.fault.results.tables import percent, ratio
from holdfast.fault.sampling.plan import Plan
from holdfast.fault.sampling.sampler import Filters
from holdfast.nn.data.choice import images_for
from holdfast.nn.graph.guard_modes import GUARD_OFF
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.graph.shipped import load_network
from holdfast.sim.machine.schedule import Schedule
from holdfast.sim.netlist.accelerator import accelerator_netlist
from tests.bench.networks import fit

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

ARMS = {
    "exact": EXACT,
    "first-mac": Shortcuts(cycles="first-mac"),
    "slice": Shortcuts(requantize="slice"),
    "tile": Shortcuts(requantize="tile"),
    "peer": Shortcuts("first-mac", "tile"),
}
_PAIRS = (("exact", "slice"), ("exact", "tile"), ("first-mac", "peer"))
_SEPARATE = (("exact", "first-mac"), ("alike", "first-mac"), ("exact", "peer"))
_KINDS = {"avf": FAILURES, "sdc1": ("sdc1",)}


@app.command()
def peer(
    network: Annotated[str, typer.Option(help="Shipped network.")] = "resnet8",
    rows: Annotated[int, typer.Option(help="Array rows and columns.")] = 8,
    faults: Annotated[int, typer.Option(help="Faults of each of the five campaigns.")] = 50_000,
    images: Annotated[int, typer.Option(help="Images that every fault is injected into.")] = 4,
    data: Annotated[Path | None, typer.Option(help="CIFAR-10 data.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of images and faults.")] = 1,
    audit: Annotated[int, typer.Option(help="Faults of a campaign that plain RTL repeats.")] = 100,
    confidence: Annotated[float, typer.Option(help="Of all intervals.")] = 0.95,
    processes: Annotated[int, typer.Option(help="Processes.")] = 2,
    output: Annotated[Path, typer.Option(help="Folder of the JSON.")] = Path("build/bench"),
) -> int:
    """Compare exact campaigns with the nearest injector's shortcuts."""
    for name, value in (("--faults", faults), ("--images", images), ("--processes", processes)):
        if value < 1:
            raise HoldfastError(f"{name} must be at least 1, not {value}.")
    if not 0 < confidence < 1:
        raise HoldfastError(f"--confidence must be between 0 and 1, not {confidence}.")
    graph = load_network(network)
    program = fit(graph, rows, rows)
    chosen = images_for(graph, data, images, seed)
    netlist = accelerator_netlist(program.config)
    filters = Filters(
        structures=STRUCTURES, layers=convolutions(program), pattern=r"^array__pe_\d+_\d+__"
    )
    space, schedule = FaultSpace.of(netlist), Schedule(program)
    plans = {
        name: Plan(space, schedule, UpsetModel(), filters, arm.sampler)
        for name, arm in ARMS.items()
    }
    counts = plans["exact"].allocate(faults, 1)
    found: dict[str, list[pa.Table]] = {}
    with tempfile.TemporaryDirectory(prefix="holdfast-peer-") as folder:
        for name, arm in ARMS.items():
            job = CampaignSpec(
                program, netlist, GUARD_OFF, image_codes(chosen.images, graph.act_bits).numpy(),
                None, UpsetModel(), filters, counts, size=1000, seed=seed,
                audit=0.0 if arm.alone else min(1.0, audit / (faults * images)),
                golden=Path(folder), shortcuts=arm,
            )  # fmt: skip
            golden_runs(job)
            found[name] = _tables(name, job, processes)
    summaries = {
        name: summarize(tables, plans[name], images, confidence).to_json()
        for name, tables in found.items()
    }
    summaries["alike"] = _alike(plans["exact"], found["exact"], images, confidence)
    result = {
        "network": network,
        "accelerator": program.config.name,
        "images": {"count": images, "from": chosen.name},
        "faults": counts,
        "seed": seed,
        "confidence": confidence,
        "layers": filters.layers,
        "campaigns": {
            name: {
                key: entry[key]
                for key in ("total", "structures", "layers", "audit")
                if key in entry
            }
            for name, entry in summaries.items()
        },
        "bias": _bias(plans["exact"], found, summaries, images, confidence),
    }
    write_atomically(output / "peer.json", json.dumps(result, indent=1).encode())
    for kind, title in (("avf", "Output or end wrong (AVF)"), ("sdc1", "SDC-1")):
        console.print(_table(f"{title}, {network} on {rows}x{rows}, per cent", result, kind))
    console.print(f"{output / 'peer.json'} written.")
    return 1 if any(summaries[name]["audit"]["disagreements"] for name in ARMS) else 0


def _tables(name: str, job: CampaignSpec, processes: int) -> list[pa.Table]:
    """A campaign's results, unit by unit."""
    units = job.units()
    shards = {}
    with progress_bar() as progress:
        task = progress.add_task(name, total=len(units), rate="")
        for unit, content, _ in run_units(job, units, processes):
            shards[unit] = pq.read_table(io.BytesIO(content))
            progress.update(task, advance=1)
    return [shards[unit] for unit in units]


def _alike(
    plan: Plan, tables: list[pa.Table], images: int, confidence: float
) -> dict[str, dict[str, Any]]:
    """Shares by structure and in all, every layer counting as much as any other."""
    samples: dict[str, dict[str, Sample]] = {kind: {} for kind in _KINDS}
    for structure in plan.structures:
        for layer in plan.sampler.layers:
            for kind, effects in _KINDS.items():
                failed = _failed(tables, structure, effects, images, layer)
                samples[kind][f"{structure} {layer}"] = Sample.of(failed)

    def share(kind: str, structures: tuple[str, ...]) -> dict[str, float]:
        sizes = {
            f"{s} {layer}": plan.population[s] for s in structures for layer in plan.sampler.layers
        }
        return asdict(stratified(samples[kind], sizes, confidence))

    return {
        "total": {kind: share(kind, plan.structures) for kind in _KINDS},
        "structures": {
            name: {"shares": {kind: share(kind, (name,)) for kind in _KINDS}}
            for name in plan.structures
        },
    }


def _bias(
    plan: Plan,
    found: dict[str, list[pa.Table]],
    summaries: dict[str, dict[str, Any]],
    images: int,
    confidence: float,
) -> list[dict[str, Any]]:
    """Differences and ratios, by pair of campaigns, kind and structure."""
    rows: list[dict[str, Any]] = []
    for kind, effects in _KINDS.items():
        for first, second in _SEPARATE:
            entries = independent(summaries[first], summaries[second], kind)
            for structure, entry in entries.items():
                part = {key: entry[key] for key in ("difference", "ratio")}
                rows.append(_row(first, second, kind, structure, paired=False, **part))
        for first, second in _PAIRS:
            pairs = {
                name: Pairs(
                    *(_failed(found[arm], name, effects, images) for arm in (first, second))
                )
                for name in plan.structures
            }
            weights = {name: plan.population[name] / plan.total for name in pairs}
            shares = {
                name: combined({name: pair}, {name: 1.0}, confidence)
                for name, pair in pairs.items()
            }
            shares["total"] = combined(pairs, weights, confidence)
            for structure, (difference, quotient) in shares.items():
                part = {"difference": asdict(difference), "ratio": quotient and asdict(quotient)}
                rows.append(_row(first, second, kind, structure, paired=True, **part))
    return rows


def _row(first: str, second: str, kind: str, structure: str, **values: Any) -> dict[str, Any]:
    return {"first": first, "second": second, "kind": kind, "structure": structure, **values}


def _failed(
    tables: list[pa.Table], structure: str, effects: tuple[str, ...], images: int, layer: str = ""
) -> NDArray[np.bool_]:
    """Which faults of a structure (and layer) failed on which images, bool [fault, image]."""
    wanted = ["structure", "layer", "number", "image", "effect"]
    table = pa.concat_tables([part.select(wanted) for part in tables]).unify_dictionaries()
    for column, value in (("structure", structure), ("layer", layer)):
        if value:
            table = table.filter(pc.equal(table[column].cast(pa.string()), value))
    table = table.sort_by([("number", "ascending"), ("image", "ascending")])
    failed = pc.is_in(table["effect"].cast(pa.string()), pa.array(effects))
    return failed.to_numpy().reshape(-1, images)


def _table(title: str, result: dict[str, Any], kind: str) -> Table:
    """Every campaign, and its bias against the exact one."""
    table = plain_table(title, "campaign", "  share, %", "  difference, points", "  ratio")
    bias = {
        (row["structure"], row["second"]): row
        for row in result["bias"]
        if (row["first"], row["kind"]) == ("exact", kind)
    }
    for structure in (*STRUCTURES, "total"):
        table.add_row(marked((structure, "bold")))
        for name in ("exact", "alike", *list(ARMS)[1:]):
            share = _share(result["campaigns"][name], structure, kind)
            row = bias.get((structure, name))
            change = (percent(row["difference"]), ratio(row["ratio"])) if row else ("", "")
            table.add_row(f"  {name}", f"  {percent(share)}", *(f"  {text}" for text in change))
        table.add_section()
    return table


def _share(campaign: dict[str, Any], structure: str, kind: str) -> dict[str, float]:
    if structure == "total":
        return campaign["total"][kind]
    return campaign["structures"][structure]["shares"][kind]


if __name__ == "__main__":
    sys.exit(run(app))
