"""The trilateral exploration, and the best point within a budget."""

import itertools
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from holdfast.base import options
from holdfast.base.cache import Cache, Measurement
from holdfast.base.checked import read_checked, with_check
from holdfast.base.command import repeated, run
from holdfast.base.console import console, marked
from holdfast.base.errors import HoldfastError
from holdfast.base.files import (
    cache_folder,
    make_folder,
    write_atomically,
    write_json,
)
from holdfast.base.progress import rated
from holdfast.base.table import plain_table
from holdfast.base.text import printable
from holdfast.base.versions import versions
from holdfast.constraints.families.registry import FAMILIES
from holdfast.fault.sampling.plan import MOST_FAULTS
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn import options as shared
from holdfast.nn.data.choice import MOST_IMAGES
from holdfast.nn.graph.guard_modes import GUARDS
from holdfast.sim.tools import find_tools

from .exploration import (
    PointPlan,
    check_data,
    missing,
    objectives,
    plan_points,
    summarize,
)
from .recommend import Budget, Candidate, recommend
from .report import report
from .runner import measure
from .study import Study

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_FOLDER = Path("build", "explore")
_FORMAT = 1
_NEAR = 5


@app.callback(
    invoke_without_command=True,
    epilog="Examples: holdfast explore; holdfast explore --study my.toml --jobs 4; "
    "holdfast explore --networks resnet8,my.safetensors --arrays 8x8,16x8 --faults 5000; "
    "holdfast recommend --max-lut 9000 --min-accuracy 80 --max-sdc 1%",
)
@options.grouped(
    {
        shared.SETUP: "study networks arrays guards targets",
        shared.FAULTS: "faults minimum structures images models model_images seed audit",
        shared.RUN: "jobs cache",
        shared.RESULTS: "output",
    }
)
def explore(
    context: typer.Context,
    study: Annotated[Path | None, options.path("Study, TOML; options change it.")] = None,
    networks: Annotated[
        str, options.text("Shipped networks or .safetensors paths, comma-separated.", paths=True)
    ] = "",
    arrays: Annotated[str, options.text("Rows x columns, such as 4x4,16x8.")] = "",
    guards: Annotated[str, options.text(f"Of {', '.join(GUARDS)}.")] = "",
    targets: Annotated[str, options.text(f"Of {', '.join(FAMILIES)}.")] = "",
    faults: Annotated[
        int | None, options.whole(0, MOST_FAULTS, "Upsets per network and array; 0: none.")
    ] = None,
    minimum: Annotated[
        int | None, options.whole(0, MOST_FAULTS, "Least upsets of a structure.")
    ] = None,
    structures: Annotated[str, options.text("Structures to hit; all if empty.")] = "",
    images: Annotated[
        int | None, options.whole(1, MOST_IMAGES, "Images under every upset.")
    ] = None,
    models: Annotated[
        str, options.text("Fault models at network level: single-flip, mibb@1e-5, ...")
    ] = "",
    model_images: Annotated[int | None, options.whole(1, MOST_IMAGES, "Images for those.")] = None,
    seed: Annotated[
        int | None, options.whole(0, options.LAST_SEED, "Seed of images and faults.")
    ] = None,
    audit: Annotated[str, options.text("Share of the upsets that plain RTL computes again.")] = "",
    data: shared.Data = None,
    jobs: Annotated[int, options.whole(1, 256, "Processes.")] = 2,
    output: Annotated[Path, options.path("Folder of summary.json and report.html.")] = _FOLDER,
    cache: Annotated[
        Path | None,
        options.path("Folder of finished measurements; default: build/explore/cache."),
    ] = None,
) -> int:
    """Weigh networks, arrays and the range guard: accuracy, failures, area and latency."""
    if context.invoked_subcommand:
        return 0
    chosen = (Study() if study is None else Study.from_toml(study)).changed(
        networks=options.words(networks) or None,
        arrays=options.words(arrays) or None,
        guards=options.words(guards) or None,
        targets=options.words(targets) or None,
        structures=options.words(structures) or None,
        models=options.words(models) or None,
        faults=faults,
        minimum=minimum,
        images=images,
        model_images=model_images,
        seed=seed,
        audit=options.share("--audit", audit, zero=True) if audit else None,
    )
    began = time.monotonic()
    chosen.points()
    if chosen.faults:
        find_tools()
    store = Cache(cache or cache_folder("explore/cache"))
    for folder in (output, store.folder, *store.folder.glob("*/")):
        make_folder(folder)
    with console.status("Compiling every network for every array"):
        plans = plan_points(chosen, data, output, store)
        wanted = missing(plans, store)
        check_data(wanted, data)
    _announce(plans, wanted, store)
    _measure(wanted, store, jobs)
    summary = summarize(chosen, plans, Cache(store.folder), Path("build", "bitstream"))
    summary = {
        "format": _FORMAT,
        "command": repeated("explore"),
        "seconds": round(time.monotonic() - began, 1),
        **summary,
        "versions": versions(),
    }
    write_json(output / "summary.json", with_check(summary))
    write_atomically(output / "report.html", report(summary).encode("utf-8", "backslashreplace"))
    console.print(_table(summary))
    console.print(
        f"{output / 'summary.json'} and {output / 'report.html'} written, {summary['seconds']} s."
    )
    return _audit(summary)


@app.command("recommend")
def recommend_point(
    max_lut: Annotated[int | None, options.whole(1, 10**9, "Most look-up tables.")] = None,
    min_accuracy: Annotated[
        float | None,
        options.number(0, 100, "Least accuracy in %, lower end of its interval."),
    ] = None,
    max_sdc: Annotated[
        str, options.text("Most SDC-1, such as 0.5%, upper end of its interval.")
    ] = "",
    target: Annotated[str, options.text("FPGA family; by default the study's first.")] = "",
    output: Annotated[Path, options.path("Folder of the exploration.")] = _FOLDER,
) -> int:
    """Name the fastest explored configuration within a budget, and write it as TOML."""
    if max_lut is None and min_accuracy is None and not max_sdc:
        raise HoldfastError("recommend needs --max-lut, --min-accuracy or --max-sdc.")
    share = options.share("--max-sdc", max_sdc, zero=True) if max_sdc else None
    budget = Budget(max_lut, min_accuracy, share, target)
    candidates = _candidates(output / "summary.json", budget)
    best = candidates[0]
    if best.misses:
        console.print(_fallen(candidates))
        missed = ", ".join(_missed(best, budget))
        raise HoldfastError(
            f"none of {len(candidates)} points keeps the budget; nearest is {best.point['name']}, "
            f"which misses {missed}."
        )
    fitting = sum(not candidate.misses for candidate in candidates)
    path = output / "recommended.toml"
    write_atomically(path, _toml(best).encode())
    console.print(
        marked(
            (best.point["name"], "bold"),
            f": least latency, then least look-up tables, of {fitting} among {len(candidates)} "
            f"points that keep the budget: {_figures(best)}.\n{path} written: "
            f"nox -s sim -- --network {best.point['file']} --config {path}",
        )
    )
    return 0


def _announce(plans: list[PointPlan], wanted: list[Measurement], store: Cache) -> None:
    every = {store.path(m) for plan in plans for m in plan.measurements.values()}
    console.print(
        f"{len(plans)} points, {len(every)} measurements, {len(every) - len(wanted)} of them known."
    )
    if store.outdated:
        console.print(
            f"{len(set(store.outdated))} known ones are from other sources or tools: measured anew."
        )
    for path in dict.fromkeys(store.damaged):
        console.print(f"{path} is damaged: measured anew.")


def _measure(wanted: list[Measurement], store: Cache, jobs: int) -> None:
    if not wanted:
        return
    count = itertools.count(1)
    with rated("Measuring", len(wanted), "{:.1f}/min") as tell:

        def done(measurement: Measurement) -> None:
            number = next(count)
            tell(number, 60 * number)

        measure(wanted, store, jobs, done)


def _table(summary: dict[str, Any]) -> Table:
    target = summary["study"]["targets"][0]
    table = plain_table(f"Explored; area on {target}", "network", wrap=True)
    placed = any(point["milliseconds"] for point in summary["points"])
    names = ["array", "guard", "acc. %", "SDC-1 %", "LUT", "DSP", "kcycles"]
    for name in (*names, *(["ms"] if placed else []), "front"):
        table.add_column(f" {name}", justify="right", no_wrap=True)
    for point in summary["points"]:
        values = objectives(point)
        config = point["config"]
        campaign = point["campaign"]
        sdc1 = _percent(campaign["all"]["total"]["sdc1"]) if campaign else "-"
        table.add_row(
            point["network"],
            f"{config['rows']}x{config['cols']}",
            point["guard"],
            "-" if values["accuracy"] is None else f"{values['accuracy']:.2f}",
            sdc1,
            f"{values['lut']:,}",
            f"{point['area'][target]['dsp']:,}",
            f"{point['cycles'] / 1e3:,.0f}",
            *([_best(point["milliseconds"])] if placed else []),
            "*" if point["front"] else "",
        )
    return table


def _best(milliseconds: dict[str, float]) -> str:
    """On the fastest board on which the point is placed."""
    return f"{min(milliseconds.values()):.3g}" if milliseconds else "-"


def _percent(share: dict[str, float]) -> str:
    """Share and interval in per cent, short."""
    return f"{100 * share['value']:.2g} {100 * share['low']:.2g}-{100 * share['high']:.2g}"


def _audit(summary: dict[str, Any]) -> int:
    """1 if plain RTL disagreed with a campaign."""
    wrong = [
        f"{point['name']}: {fault}"
        for point in summary["points"]
        if point["campaign"]
        for fault in point["campaign"]["all"]["audit"]["faults"]
    ]
    for text in wrong:
        console.print(marked((f"{text}: plain RTL disagrees.", "bold red")))
    return 1 if wrong else 0


def _candidates(path: Path, budget: Budget) -> list[Candidate]:
    """The explored points against a budget."""
    name = printable(path)
    if not path.exists():
        raise HoldfastError(f"there is no {name}; `nox -s explore` writes it.")
    anew = "`nox -s explore` writes it anew."
    try:
        summary = read_checked(path, "exploration")
    except HoldfastError as error:
        raise HoldfastError(f"{str(error).removesuffix('.')}; {anew}") from None
    if summary.get("format") != _FORMAT:
        raise HoldfastError(f"{name} is of another version; {anew}")
    try:
        for point in summary["points"]:
            _check_point(point)
        best, *others = recommend(summary["points"], budget)
        for candidate in (best, *others):
            _toml(candidate)
        return [best, *others]
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        raise HoldfastError(f"{name} is damaged; {anew}") from None


def _check_point(point: dict[str, Any]) -> None:
    """TypeError, KeyError or HoldfastError if a point lacks what is told of it."""
    AcceleratorConfig(**point["config"])
    for names, kind in ((("name", "file", "guard"), str), (("cycles",), int)):
        for name in names:
            if not isinstance(point[name], kind):
                raise TypeError(name)


def _fallen(candidates: list[Candidate]) -> Table:
    """Why the nearest points fell out."""
    columns = ("point", "LUT", "accuracy, low", "SDC-1, high", "misses")
    table = plain_table("Nearest points", *columns, left=("misses",), gap=1, wrap=True)
    for candidate in candidates[:_NEAR]:
        table.add_row(
            candidate.point["name"],
            f"{candidate.lut:,}",
            _number(candidate.accuracy, 1),
            _number(candidate.sdc1, 100),
            ", ".join(candidate.misses),
        )
    return table


def _missed(candidate: Candidate, budget: Budget) -> list[str]:
    told = {
        "look-up tables": f"look-up tables with {candidate.lut:,} of {budget.max_lut or 0:,}",
        "accuracy": f"accuracy with {_number(candidate.accuracy, 1)} of {budget.min_accuracy} %",
        "SDC-1": f"SDC-1 with {_number(candidate.sdc1, 100)} of {100 * (budget.max_sdc or 0):g} %",
    }
    return [told[name] for name in candidate.misses]


def _figures(candidate: Candidate) -> str:
    parts = [f"{candidate.point['cycles']:,} cycles", f"{candidate.lut:,} look-up tables"]
    if candidate.accuracy is not None:
        parts.append(f"accuracy at least {candidate.accuracy:.2f} %")
    if candidate.sdc1 is not None:
        parts.append(f"SDC-1 at most {100 * candidate.sdc1:.3g} %")
    return ", ".join(parts)


def _number(value: float | None, scale: float) -> str:
    return "not measured" if value is None else f"{scale * value:.4g}"


def _toml(candidate: Candidate) -> str:
    point = candidate.point
    config = AcceleratorConfig(**point["config"])
    return (
        f"# {printable(point['name'])}: {_figures(candidate)}.\n"
        f"# Network {printable(point['file'])}, guard {point['guard']}.\n{config.to_toml()}"
    )


if __name__ == "__main__":
    sys.exit(run(app))
