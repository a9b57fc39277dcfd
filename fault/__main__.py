"""The campaign: faults in whole inferences, with statistics, a store and a report."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from rich.text import Text

from holdfast.base import options
from holdfast.base.checked import with_check
from holdfast.base.command import repeated, run
from holdfast.base.console import console, marked
from holdfast.base.errors import HoldfastError
from holdfast.base.files import write_atomically, write_json
from holdfast.base.progress import progress_bar
from holdfast.base.text import shown
from holdfast.fault.campaign.manifest import manifest, settings
from holdfast.fault.campaign.prior import PriorCampaign
from holdfast.fault.campaign.replay_upset import replay_upset
from holdfast.fault.campaign.store import Store
from holdfast.fault.campaign.workers import (
    CampaignSpec,
    UnitStatistics,
    golden_runs,
    run_units,
)
from holdfast.fault.injection.session import check_injectable
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.peers.shortcuts import Shortcuts
from holdfast.fault.results.report import report
from holdfast.fault.results.summary import compare, failure_rates, summarize
from holdfast.fault.results.tables import (
    effects_table,
    independent_table,
    pairs_table,
    percent,
)
from holdfast.fault.sampling.plan import (
    MOST_FAULTS,
    Filters,
    Plan,
    UpsetModel,
)
from holdfast.nn.compiler.program import compile_graph
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARDS, named_guard
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.graph.shipped import load_network
from holdfast.sim.machine.timeline import Schedule
from holdfast.sim.netlist.accelerator import accelerator_netlist
from holdfast.sim.tools import find_tools

from .options import element
from .options import rates as raw_rates
from .simulate import MOST_IMAGES, configuration, images_for

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_MOST_UNITS = 1_000_000
_CONFIDENCE = (0.01, 0.99999)


@app.command(
    epilog="Examples: nox -s campaign -- --faults 20000; "
    "nox -s campaign -- --margin 0.5% --confidence 95%; "
    "nox -s campaign -- --compare off,bound --faults 5000 --structures weight,partial_sum; "
    "nox -s campaign -- --replay 'c1234/array__pe_3_4__weight[5]'"
)
def campaign(
    network: Annotated[
        str, options.text("Shipped network, or path of a .safetensors model.", paths=True)
    ] = "resnet8",
    config: Annotated[Path | None, options.path("Accelerator configuration, TOML.")] = None,
    rows: Annotated[int | None, options.whole(1, 16, "Array rows (default 8).")] = None,
    cols: Annotated[int | None, options.whole(1, 16, "Array columns (default 8).")] = None,
    images: Annotated[
        int, options.whole(1, MOST_IMAGES, "Images that every fault is injected into.")
    ] = 1,
    data: Annotated[
        Path | None, options.path("CIFAR-10 data; without any, images are generated.")
    ] = None,
    guard: Annotated[str, options.text(f"Range guard: {', '.join(GUARDS)}.")] = "off",
    faults: Annotated[int, options.whole(1, MOST_FAULTS, "Faults to draw.")] = 20_000,
    margin: Annotated[
        str, options.text("Error margin that decides the number of faults, such as 0.5%.")
    ] = "",
    confidence: Annotated[str, options.text("Of all intervals.")] = "95%",
    stop_at: Annotated[
        str, options.text("Stop early once SDC-1's weighted interval is this +- or less.")
    ] = "",
    minimum: Annotated[
        int, options.whole(0, MOST_FAULTS, "Least faults of a structure; all, if it has no more.")
    ] = 200,
    structures: Annotated[str, options.text("Comma-separated; all if empty.")] = "",
    pattern: Annotated[
        str, options.text("Regular expression in the name of a register or memory.")
    ] = "",
    pes: Annotated[str, options.text("Processing elements, such as 0.0,3.4.")] = "",
    layers: Annotated[str, options.text("Comma-separated; all if empty.")] = "",
    phases: Annotated[str, options.text("fetch, stream, drain; all if empty.")] = "",
    bits: Annotated[int, options.whole(1, 4, "Adjacent bits that are upset together.")] = 1,
    stuck: Annotated[
        int | None, options.whole(0, 1, "Stuck at this value instead of an upset.")
    ] = None,
    duration: Annotated[int, options.whole(0, 10**9, "Cycles of a stuck bit; 0: to the end.")] = 0,
    cycles: Annotated[
        str, options.text("all, or the shortcut first-mac: only tiles' first products.")
    ] = "all",
    requantize: Annotated[
        str, options.text("sum, or a shortcut: slice or tile of the reduction alone.")
    ] = "sum",
    patterns: Annotated[
        bool, typer.Option("--patterns", help="Store what was wrong in the layer that was struck.")
    ] = False,
    seed: Annotated[int, options.whole(0, options.LAST_SEED, "Seed of images and faults.")] = 1,
    audit: Annotated[
        str, options.text("Share of the faults that plain RTL computes again.")
    ] = "0.1%",
    comparison: Annotated[
        str, options.text("Guard settings to compare on the same faults.", "--compare")
    ] = "",
    against: Annotated[
        str,
        options.text("Finished campaigns to compare with: comma-separated folders.", paths=True),
    ] = "",
    fit: Annotated[str, options.text("Raw rates, FIT per 2**20 bits: flip-flop=A,memory=B.")] = "",
    processes: Annotated[int, options.whole(1, 256, "Local processes.")] = 2,
    scheduler: Annotated[str, options.text("Address of a Dask scheduler to use.")] = "",
    unit: Annotated[int, options.whole(1, 100_000, "Faults of a work unit.")] = 1000,
    store: Annotated[Path | None, options.path("Folder of the campaign.")] = None,
    replay: Annotated[str, options.text("Repeat one fault by its id.")] = "",
) -> int:
    """Inject faults into whole inferences and estimate failure rates, exactly as RTL would."""
    level = options.share("--confidence", confidence)
    options.check_range(*_CONFIDENCE, **{"--confidence": level})
    guards = options.words(comparison) or (guard,)
    if comparison and len(guards) < 2:
        raise HoldfastError(
            f"--compare needs two or more different settings, not {shown(comparison)}."
        )
    rates = raw_rates(fit)
    if stop_at and comparison:
        raise HoldfastError("--stop-at is for one setting; --compare needs the same faults in all.")
    enough = options.share("--stop-at", stop_at) if stop_at else 0.0
    checked = options.share("--audit", audit, zero=True)
    model = UpsetModel(bits, stuck, duration)
    shortcuts = Shortcuts(cycles, requantize)
    if patterns and shortcuts.alone:
        raise HoldfastError("--patterns are of what the hardware does, without --requantize.")
    filters = Filters(
        structures=options.words(structures),
        layers=options.words(layers),
        phases=options.words(phases),
        pattern=pattern,
        pes=tuple(element(name) for name in options.words(pes)),
    )

    graph = load_network(network)
    chosen = configuration(graph, config, rows, cols)
    program = compile_graph(graph, chosen)
    for name in guards:
        check_injectable(program, named_guard(name, chosen))
        guarded = GUARDS[name] != GUARD_OFF
        shortcuts.check(program, model == UpsetModel(), guarded, checked)
    find_tools()
    image_set = images_for(graph, data, images, seed)
    codes = image_codes(image_set.images, graph.act_bits).numpy()
    with console.status(f"Generating the {chosen.rows}x{chosen.cols} accelerator"):
        netlist = accelerator_netlist(chosen)
    plan = Plan(FaultSpace.of(netlist), Schedule(program), model, filters, shortcuts)
    count = plan.faults(options.share("--margin", margin), level) if margin else faults
    job = CampaignSpec(
        program=program,
        netlist=netlist,
        guard=GUARDS[guards[0]],
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
    _check_size(job)
    others = {name: PriorCampaign.load(Path(name)) for name in options.words(against)}
    if len({Path(name).name for name in others}) < len(others):
        raise HoldfastError("--against has two folders of one name, which names the result.")
    folder = store or Path("build", "campaign", f"{graph.network}_{chosen.name}")
    if replay and shortcuts.alone:
        raise HoldfastError("--replay shows what the hardware does, without --requantize.")
    if replay:
        replay_upset(job, replay, folder / "replay")
        return 0
    console.print(_population(plan, job, image_set.name))
    tables: list[list[pa.Table]] = []
    summaries = []
    kept = True
    for name in guards:
        part = replace(job, guard=GUARDS[name])
        place = folder / f"guard_{name}" if comparison else folder
        summary, found, writable = _one(
            part, place, plan, level, rates, processes, scheduler, name, enough
        )
        kept = kept and writable
        summaries.append(summary)
        tables.append(found)
    if comparison:
        pairs = {
            name: compare(tables[0], found, plan, len(codes), level)
            for name, found in zip(guards[1:], tables[1:], strict=True)
        }
        console.print(pairs_table(f"guard {guards[0]}", pairs))
        if kept:
            write_json(folder / "comparison.json", {"first": guards[0], "second": pairs})
        for name, summary in zip(guards, summaries, strict=True):
            page = report(summary, repeated("campaign"), {guards[0]: pairs})
            if kept:
                write_atomically(folder / f"guard_{name}" / "report.html", page.encode())
    for name, other in others.items():
        result = other.compared(manifest(job, plan), summaries[0], tables[0], plan, level)
        console.print(
            pairs_table(name, {guards[0]: result["pairs"]})
            if "pairs" in result
            else independent_table(name, result)
        )
        if kept:
            write_json(folder / f"against_{Path(name).name}.json", result)
    return 1 if any(summary["audit"]["disagreements"] for summary in summaries) else 0


def _one(
    job: CampaignSpec,
    folder: Path,
    plan: Plan,
    confidence: float,
    rates: dict[str, float],
    processes: int,
    scheduler: str,
    guard: str,
    enough: float,
) -> tuple[dict[str, Any], list[pa.Table], bool]:
    """One campaign, from where its folder stands to its report; whether that could be written."""
    units: dict[str, int] = {}
    with Store(folder, manifest(job, plan)) as store:
        job = replace(job, golden=folder.resolve() / "golden")
        for part in job.doubling_rounds(plan.tried_whole(job.counts)) if enough else [job.units()]:
            rows = {name: _size(job, name) * len(job.codes) for name in part}
            todo = store.missing(rows)
            for found in store.damaged:
                console.print(f"{found.removesuffix('.')}: its unit is computed again.")
            store.damaged.clear()
            if todo:
                with console.status("Golden runs: compiling and running the accelerator"):
                    golden_runs(job)
                _run(job, store, todo, processes, scheduler, f"guard {guard}")
            units |= rows
            tables = list(store.tables(units.items()))
            summary = summarize(tables, plan, len(job.codes), confidence)
            share = summary["total"]["sdc1"]
            if (share["high"] - share["low"]) / 2 <= enough:
                break
        summary["settings"] = settings(job, plan)
        summary["versions"] = store.versions
        if rates:
            summary["fit"] = failure_rates(summary, plan, rates) | {"per_megabit": rates}
        if store.writable:
            store.write("summary.json", json.dumps(with_check(summary), indent=1).encode())
            store.write("report.html", report(summary, repeated("campaign"), {}).encode())
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
        console.print(marked((f"{fault}: plain RTL disagrees.", "bold red")))
    files = f"{folder / 'report.html'} and {folder / 'summary.json'}"
    console.print(f"{files} {'written' if store.writable else 'lie there, on a read-only disk'}.")
    return summary, tables, store.writable


def _run(
    job: CampaignSpec, store: Store, todo: list[str], processes: int, scheduler: str, what: str
) -> None:
    """Compute what is missing, with progress."""
    total = sum(_size(job, name) for name in todo) * len(job.codes)
    spent = UnitStatistics()
    began = time.monotonic()
    with progress_bar() as progress:
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


def _add(spent: UnitStatistics, part: UnitStatistics) -> None:
    for name in ("faults", "shortcuts", "audit", "audited", "carried"):
        setattr(spent, name, getattr(spent, name) + getattr(part, name))


def _size(job: CampaignSpec, unit: str) -> int:
    structure, _, number = unit.rpartition("-")
    return min(job.size, job.counts[structure] - int(number) * job.size)


def _check_size(job: CampaignSpec) -> None:
    """HoldfastError if a campaign is larger than any can be."""
    faults = sum(job.counts.values())
    units = sum(-(-count // job.size) for count in job.counts.values())
    for what, found, most in (("faults", faults, MOST_FAULTS), ("units", units, _MOST_UNITS)):
        if found > most:
            raise HoldfastError(f"a campaign has at most {most:,} {what}, not {found:,}.")


def _population(plan: Plan, job: CampaignSpec, images: str) -> Text:
    excluded = ", ".join(f"{name} {bits:,} bits" for name, bits in plan.excluded.items())
    whole = sorted(plan.tried_whole(job.counts))
    return marked(
        (job.program.graph.network, "bold"),
        f" on {job.program.config.name}, "
        f"{len(job.codes)} image(s) of {images}: {plan.space.bits():,} bits x {plan.cycles:,} "
        f"{'tiles' if plan.shortcuts.first_mac else 'cycles'}, {plan.total:,} faults, "
        f"{sum(job.counts.values()):,} drawn. "
        + (f"All faults of {', '.join(whole)}, each once. " if whole else "")
        + (f"Not injected: {excluded}." if excluded else "Nothing is excluded."),
    )


if __name__ == "__main__":
    sys.exit(run(app))
