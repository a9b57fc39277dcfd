"""``nox -s bench -- campaign``: faults per second, beside plain RTL and plain PyTorch.

Writes build/bench/campaign.json. For each network, on the same machine in one run: single-bit
upsets over the whole fault space by the campaign's engine; the same kind of faults by plain RTL
inferences on the compiled engine; and a software-only baseline that flips a bit of an activation
and computes the whole network in PyTorch, batched, without reuse. All use as many processes.
``prepare_s`` is not part of the rates: finding out, once for an image, when registers are read.
``process_mb`` is the most of any process once the campaigns are done (`tests.bench.memory`).
"""

import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.files import write_atomically
from holdfast.base.pool import ONE_THREAD
from holdfast.fault.campaign.engine import PATHS
from holdfast.fault.campaign.golden_runs import golden_runs, liveness_tables
from holdfast.fault.campaign.spec import CampaignSpec, UnitStatistics
from holdfast.fault.campaign.workers import Worker
from holdfast.fault.model.models.upset import UpsetModel
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.sampling.plan import Plan
from holdfast.fault.sampling.sampler import Filters
from holdfast.nn.data.cifar import generated_images
from holdfast.nn.graph.golden import Golden, GoldenOutputs
from holdfast.nn.graph.guard_modes import GUARD_OFF
from holdfast.nn.graph.pixels import pixel_codes
from holdfast.nn.graph.shipped import load_network
from holdfast.sim.machine.schedule import Schedule
from holdfast.sim.netlist.accelerator import accelerator_netlist
from tests.bench.memory import memory
from tests.bench.networks import fit

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

CASES = (("resnet8", 8, 8), ("resnet20", 16, 16))
_BATCH = 32


@app.command()
def campaign(
    faults: Annotated[int, typer.Option(help="Faults over the whole space.")] = 20_000,
    flipflops: Annotated[int, typer.Option(help="Faults in flip-flops.")] = 20_000,
    audit: Annotated[int, typer.Option(help="Faults checked by plain RTL.")] = 1_000,
    software: Annotated[int, typer.Option(help="Software-only faults.")] = 500,
    processes: Annotated[int, typer.Option(help="Processes.")] = 2,
    output: Annotated[Path, typer.Option(help="Folder of the JSON.")] = Path("build/bench"),
) -> int:
    """Measure fault campaigns on ResNet-20 at 16x16 and ResNet-8 at 8x8."""
    results: dict[str, Any] = {}
    for name, rows, cols in CASES:
        key = f"{name}@{rows}x{cols}"
        results[key] = _measure(name, rows, cols, faults, flipflops, audit, software, processes)
        write_atomically(output / "campaign.json", json.dumps(results, indent=1).encode())
        console.print(key, results[key])
    return 1 if any(entry["audit"]["disagreements"] for entry in results.values()) else 0


def _measure(
    name: str,
    rows: int,
    cols: int,
    faults: int,
    flipflops: int,
    audit: int,
    software: int,
    processes: int,
) -> dict[str, Any]:
    graph = load_network(name)
    program = fit(graph, rows, cols)
    os.environ.update(ONE_THREAD)
    netlist = accelerator_netlist(program.config)
    codes = pixel_codes(generated_images(1, 1).images, graph.act_bits)
    space = FaultSpace.of(netlist)
    plan = Plan(space, Schedule(program), UpsetModel(), Filters())
    registers = {
        structure: sum(s.bits for s in space.members(structure) if s.kind == "flip-flop")
        for structure in space.structures
    }
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        job = CampaignSpec(
            program, netlist, GUARD_OFF, codes, None, UpsetModel(), Filters(),
            plan.allocate(faults, 0), size=500, seed=1, audit=0.0, golden=Path(folder, "golden"),
        )  # fmt: skip
        golden_runs(job)
        names = "|".join(m.name for m in netlist.memories)
        pattern = f"^(?!(?:{names})$)"
        inside = Plan(space, plan.schedule, UpsetModel(), Filters(pattern=pattern))
        total = sum(registers.values())
        counts = {n: -(-flipflops * registers[n] // total) for n in inside.structures}
        only = replace(job, filters=Filters(pattern=pattern), counts=counts)
        checked = replace(
            job, counts=plan.allocate(1, -(-audit // len(plan.structures))), size=20, audit=1.0
        )
        with ProcessPoolExecutor(
            processes, multiprocessing.get_context("spawn"), _start, ([job, only, checked],)
        ) as pool:
            began = time.perf_counter()
            liveness_tables(only)
            prepared = time.perf_counter() - began
            # Every process compiles and loads first: that is not what is measured.
            list(pool.map(_warm, range(4 * processes)))
            whole, seconds, by_structure = _timed(pool, 0, job)
            _, register_seconds, _ = _timed(pool, 1, only)
            plain, _, _ = _timed(pool, 2, checked)
            used = list(pool.map(_memory, range(4 * processes)))
            # Loads PyTorch.
            list(pool.map(_software, [1] * processes, range(processes)))
            began = time.perf_counter()
            parts = [software // processes] * processes
            list(pool.map(_software, parts, range(processes)))
            software_seconds = time.perf_counter() - began
    rate = whole.faults / seconds
    rtl = plain.audited / plain.audit * processes
    other = sum(parts) / software_seconds
    return {
        "faults": whole.faults,
        "faults_per_s": round(rate, 1),
        "flipflop_faults_per_s": round(sum(counts.values()) / register_seconds, 1),
        "prepare_s": round(prepared, 1),
        "rtl_faults_per_s": round(rtl, 2),
        "speedup_vs_rtl": round(rate / rtl, 1),
        "software_faults_per_s": round(other, 1),
        "speedup_vs_software": round(rate / other, 2),
        "by_structure": {
            structure: {
                "faults_per_s": round(part.faults / part.shortcuts * processes, 1),
                "share": round(plan.population[structure] / plan.total, 6),
            }
            for structure, part in by_structure.items()
        },
        "by_path": {p: round(whole.paths.get(p, 0) / whole.faults, 5) for p in PATHS},
        "audit": {"checked": plain.audited, "disagreements": plain.disagreements},
        "process_mb": {name: max(each[name] for each in used) for name in used[0]},
        "processes": processes,
    }


def _timed(
    pool: ProcessPoolExecutor, number: int, job: CampaignSpec
) -> tuple[UnitStatistics, float, dict[str, UnitStatistics]]:
    """Run a job's units; what they took together, the time, and by structure."""
    began = time.perf_counter()
    total = UnitStatistics()
    structures: dict[str, UnitStatistics] = {}
    units = job.units()
    for unit, part in zip(units, pool.map(_unit, [number] * len(units), units), strict=True):
        for entry in (total, structures.setdefault(unit.structure, UnitStatistics())):
            entry.add(part)
    return total, time.perf_counter() - began, structures


_workers: list[Worker] = []


def _start(jobs: list[CampaignSpec]) -> None:
    for job in jobs:
        _workers.append(Worker(job))
        _workers[-1].engine(0)


def _warm(index: int) -> None:
    time.sleep(0.1)


def _memory(index: int) -> dict[str, int]:
    """What a process has that has computed its share; it waits, so that each is asked."""
    time.sleep(0.1)
    return memory()


def _unit(number: int, unit: str) -> UnitStatistics:
    return _workers[number].compute(unit)[1]


def _software(count: int, seed: int) -> int:
    """Bits of activations flipped, whole networks computed; returns the classes that changed."""
    # Here, since campaigns do without.
    import torch

    job = _workers[0].job
    graph = job.program.graph
    golden, codes = Golden(graph), torch.from_numpy(job.codes)
    generator = np.random.default_rng(seed)
    nodes = graph.nodes[:-1]
    sizes = np.array([np.prod(node.shape) for node in nodes])
    clean = int(golden.logits(codes).argmax())
    changed = done = 0
    while done < count:
        size = min(_BATCH, count - done)
        chosen = generator.choice(len(nodes), size, p=sizes / sizes.sum())
        values: dict[str, torch.Tensor] = {graph.nodes[0].name: codes.repeat(size, 1, 1, 1)}
        for index, node in enumerate(graph.nodes):
            if index:
                values[node.name] = node.evaluate(
                    golden, [values[name] for name in node.inputs], GoldenOutputs()
                )
            flat = values[node.name].numpy().reshape(size, -1)
            for row in np.flatnonzero(chosen == index):
                flat[row, generator.integers(flat.shape[1])] ^= np.int8(
                    np.uint8(1 << generator.integers(8)).view(np.int8)
                )
        found = values[graph.nodes[-1].name].flatten(1).argmax(1)
        changed += int((found != clean).sum())
        done += size
    return changed


if __name__ == "__main__":
    sys.exit(run(app))
