"""``nox -s bench -- schedule``: what many processes would gain, from what is measured on these.

Writes build/bench/schedule.json. A campaign of a million faults is taken apart: units of every
structure are computed on the processes at hand, and so is all that happens once: a process's start,
the golden run and the liveness table of an image, a unit that is received and stored, the results
that are read and summarized. The schedule of `fault.campaign.agenda` is then played for
more processes, with one parent that serves them in turn. All is processor time: what other
programs do on the machine does not count, nor does waiting for a disk.
"""

import heapq
import json
import os
import pickle
import sys
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.files import write_atomically
from holdfast.base.pool import ONE_THREAD, in_processes
from holdfast.fault.analysis.liveness import part_length
from holdfast.fault.campaign.agenda import Agenda, Item
from holdfast.fault.campaign.golden_runs import golden_runs
from holdfast.fault.campaign.spec import CampaignSpec
from holdfast.fault.campaign.store import Store
from holdfast.fault.campaign.unit import UnitId
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.models.upset import UpsetModel
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.results.summary import summarize
from holdfast.fault.sampling.plan import Plan
from holdfast.fault.sampling.sampler import Filters
from holdfast.nn.data.cifar import generated_images
from holdfast.nn.graph.guard_modes import GUARD_OFF
from holdfast.nn.graph.pixels import pixel_codes
from holdfast.nn.graph.shipped import load_network
from holdfast.sim.machine.schedule import Schedule
from holdfast.sim.netlist.accelerator import accelerator_netlist
from tests.bench.networks import fit
from tests.bench.units import timed, work

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

PROCESSES = (1, 2, 8, 16, 32, 64)
_UNIT, _FAULTS, _AUDIT = 1000, 1_000_000, 0.001


@dataclass(frozen=True)
class Costs:
    """Seconds of processor time.

    Attributes
    ----------
    units : Mapping
        Of a fault, in each of some units, by structure.
    parts : sequence of float
        Of the parts of an image's liveness table; a process's first costs the most.
    audit : float
        Of a fault by plain RTL.
    start : float
        From a process's first instruction until it can compute.
    before, stored, after : float
        Of the parent: the golden runs, a unit, and the summary of all.
    """

    units: Mapping[str, Sequence[float]]
    parts: Sequence[float]
    audit: float
    start: float
    before: float
    stored: float
    after: float


@app.command()
def schedule(
    network: Annotated[str, typer.Option(help="Network.")] = "resnet8",
    size: Annotated[int, typer.Option(help="Rows and columns of the array.")] = 8,
    units: Annotated[int, typer.Option(help="Units of each structure that are computed.")] = 3,
    processes: Annotated[int, typer.Option(help="Processes that compute them.")] = 2,
    output: Annotated[Path, typer.Option(help="Folder of the JSON.")] = Path("build/bench"),
) -> None:
    """Measure a campaign's parts and play its schedule for up to 64 processes."""
    os.environ.update(ONE_THREAD)
    results: dict[str, Any] = {}
    for name, flip_flops in (("whole space", False), ("flip-flops", True)):
        job = _job(network, size, flip_flops)
        with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
            job = replace(job, golden=Path(folder, "golden"))
            costs = _measured(job, units, processes)
        results[name] = {"costs": vars(costs), "processes": played(job, costs)}
        write_atomically(output / "schedule.json", json.dumps(results, indent=1).encode())
        console.print(_table(f"{job.program.graph.network}, {name}", results[name]["processes"]))


def played(job: CampaignSpec, costs: Costs) -> dict[int, dict[str, float]]:
    """Returns for each number of processes what the schedule takes, and what that gains."""
    found: dict[int, dict[str, float]] = {}
    for count in PROCESSES:
        faults, busy = _faults(job, costs, count)
        whole = costs.before + costs.start + faults + costs.after
        found[count] = {"faults_s": faults, "whole_s": whole, "parent_busy": busy}
        first = found[PROCESSES[0]]
        found[count]["speedup"] = first["faults_s"] / faults
        found[count]["efficiency"] = first["faults_s"] / faults / count
        found[count]["whole_speedup"] = first["whole_s"] / whole
    return {n: {k: round(v, 3) for k, v in entry.items()} for n, entry in found.items()}


def _faults(job: CampaignSpec, costs: Costs, count: int) -> tuple[float, float]:
    """Returns when the last unit is stored, and the share of that in which the parent is busy.

    As in `base.pool.in_processes`, the parent gives a process its next item, and stores then what
    it did. A process's first unit of a structure costs what the first one measured did, the others
    what the last one did.
    """
    parts = len(costs.parts) if count > len(job.codes) else 1
    agenda = Agenda(job, job.units(), parts)
    events: list[tuple[float, int, Item | None]] = [(0.0, n, None) for n in range(count)]
    source = np.random.default_rng(1)
    warm: set[tuple[int, str]] = set()
    parent = busy = tables = 0.0
    while events:
        moment, process, item = heapq.heappop(events)
        parent = max(parent, moment)
        if len(agenda):
            following = agenda.popleft()
            kind = following.structure if isinstance(following, UnitId) else "table"
            begin, seen = parent, (process, kind) in warm
            warm.add((process, kind))
            if isinstance(following, UnitId):
                cost = job.faults(following) * costs.units[kind][-1 if seen else 0]
                cost += source.binomial(job.faults(following), _AUDIT) * costs.audit
                begin = max(begin, tables) if agenda.asks(following) else begin
            else:
                once, more = max(costs.parts), min(costs.parts)
                cost = (
                    (more if seen else once) if parts > 1 else once + (len(costs.parts) - 1) * more
                )
                tables = max(tables, begin + cost)
            heapq.heappush(events, (begin + cost, process, following))
        if isinstance(item, UnitId):
            parent += costs.stored
            busy += costs.stored
            agenda.done(item, job.faults(item) * costs.units[item.structure][-1])
        elif item is not None:
            agenda.done(item, 0.0)
    return parent, busy / parent


def _job(network: str, size: int, flip_flops: bool) -> CampaignSpec:
    graph = load_network(network)
    program = fit(graph, size, size)
    netlist = accelerator_netlist(program.config)
    filters = Filters()
    if flip_flops:
        memories = "|".join(memory.name for memory in netlist.memories)
        filters = Filters(pattern=f"^(?!(?:{memories})$)")
    plan = Plan(FaultSpace.of(netlist), Schedule(program), UpsetModel(), filters)
    codes = pixel_codes(generated_images(1, 1).images, graph.act_bits)
    return CampaignSpec(
        program, netlist, GUARD_OFF, codes, None, UpsetModel(), filters,
        plan.allocate(_FAULTS, 0), size=_UNIT, seed=1, audit=0.0,
    )  # fmt: skip


def _measured(job: CampaignSpec, units: int, processes: int) -> Costs:
    before, _ = timed(lambda: golden_runs(job))
    some = [unit for unit in job.units() if unit.number < units]
    spent: dict[str, list[float]] = {}
    starts, parts, audits = [], [], []
    plan = Plan(FaultSpace.of(job.netlist), Schedule(job.program), job.model, job.filters)
    count = -(-plan.schedule.cycles // part_length(job.netlist))
    stored = 0.0
    assert job.golden is not None
    with Store(job.golden.parent / "store", {"sources": "measured"}) as store:
        payload = zlib.compress(pickle.dumps(replace(job, campaign=store.campaign)), 1)
        upsets = plan.draw("weight", 0, 6, 1)
        items: list[UnitId | int | Fault] = [*range(count), *upsets, *some]
        for item, (start, cost, content) in in_processes(
            partial(work, payload), items, processes, "processes died"
        ):
            starts.append(start)
            if not isinstance(item, UnitId):
                (parts if isinstance(item, int) else audits).append(cost)
                continue
            spent.setdefault(item.structure, []).append(cost / job.faults(item))
            stored += timed(lambda u=item, c=content: store.add(u, c))[0]  # type: ignore[misc]
        rows = {unit: job.faults(unit) for unit in some}
        reading, found = timed(lambda: list(store.tables(rows.items())))
    few, _ = timed(lambda: summarize(found, plan, 1))
    many, _ = timed(lambda: summarize(found * 4, plan, 1))
    whole = _FAULTS / sum(rows.values())
    after = few + (many - few) / 3 * (whole - 1) + reading * len(job.units()) / len(some)
    return Costs(
        spent, parts, sum(audits) / len(audits), max(starts), before, stored / len(some), after
    )


def _table(title: str, found: Mapping[int, Mapping[str, float]]) -> Table:
    names = {
        "faults_s": "faults, s", "speedup": "speed-up", "efficiency": "efficiency",
        "parent_busy": "parent busy", "whole_s": "with start and report, s",
        "whole_speedup": "speed-up",
    }  # fmt: skip
    table = Table(title=f"{title}: {_FAULTS:,} faults, simulated from measured units")
    for heading in ("processes", *names.values()):
        table.add_column(heading, justify="right")
    for count, entry in found.items():
        table.add_row(str(count), *(f"{entry[name]:.2f}" for name in names))
    return table


if __name__ == "__main__":
    sys.exit(run(app))
