"""The trilateral exploration, and the best point within a budget."""

import inspect
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from holdfast.base import options
from holdfast.base.cache import Cache, Measurement
from holdfast.base.command import repeated, run
from holdfast.base.console import console, marked
from holdfast.base.errors import HoldfastError
from holdfast.base.files import write_atomically
from holdfast.base.progress import rated
from holdfast.base.table import plain_table
from holdfast.constraints.families.registry import FAMILIES
from holdfast.explore.objectives.base import Objective
from holdfast.explore.objectives.registry import OBJECTIVES
from holdfast.fault.sampling.plan import MOST_FAULTS
from holdfast.nn import options as shared
from holdfast.nn.data.choice import MOST_IMAGES
from holdfast.nn.graph.guard_modes import GUARDS

from . import exploration
from .exploration import PointPlan, write_results
from .recommend import Budget, Candidate, explored
from .runner import Done
from .study import Study

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_FOLDER = Path("build", "explore")
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
        Path | None, options.path("Folder of finished measurements; default: build/explore/cache.")
    ] = None,
) -> int:
    """Weigh networks, arrays and the range guard: accuracy, failures, area and latency."""
    if context.invoked_subcommand:
        return 0
    lists = {"networks": networks, "arrays": arrays, "guards": guards, "targets": targets,
             "structures": structures, "models": models}  # fmt: skip
    chosen = (Study() if study is None else Study.from_toml(study)).changed(
        **{name: options.words(text) or None for name, text in lists.items()},
        faults=faults,
        minimum=minimum,
        images=images,
        model_images=model_images,
        seed=seed,
        audit=options.share("--audit", audit, zero=True) if audit else None,
    )
    with console.status("Compiling every network for every array") as status:
        summary = exploration.explore(
            chosen, data=data, folder=output, cache=cache, jobs=jobs, watch=_watch(status.stop)
        )
    summary["command"] = repeated("explore")
    write_results(summary, output)
    console.print(_table(summary))
    console.print(
        f"{output / 'summary.json'} and {output / 'report.html'} written, {summary['seconds']} s."
    )
    return _audit(summary)


def _recommendation() -> Callable[..., int]:
    """Makes the command, with an option for every objective."""

    def command(target: str, output: Path, **given: Any) -> int:
        named = {name: o.read(given[key(o)]) for name, o in OBJECTIVES.items()}
        limits = {name: limit for name, limit in named.items() if limit is not None}
        if not limits:
            *known, last = (objective.option for objective in OBJECTIVES.values())
            raise HoldfastError(f"recommend needs {', '.join(known)} or {last}.")
        return _recommend(Budget(limits, target), output)

    def key(objective: Objective) -> str:
        return objective.option.strip("-").replace("-", "_")

    def parameter(name: str, default: Any, annotation: Any) -> inspect.Parameter:
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Parameter(name, kind, default=default, annotation=annotation)

    family = options.text("FPGA family; by default the study's first.")
    folder = options.path("Folder of the exploration.")
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            *(parameter(key(o), o.unlimited, o.parameter()) for o in OBJECTIVES.values()),
            parameter("target", "", Annotated[str, family]),
            parameter("output", _FOLDER, Annotated[Path, folder]),
        ]
    )
    command.__annotations__ = {}
    return command


app.command(
    "recommend",
    help="Name the fastest explored configuration within a budget, and write it as TOML.",
)(_recommendation())


def _recommend(budget: Budget, output: Path) -> int:
    candidates = explored(output / "summary.json", budget)
    best = candidates[0]
    if best.misses:
        console.print(_fallen(candidates))
        raise HoldfastError(
            f"none of {len(candidates)} points keeps the budget; nearest is {best.point['name']}, "
            f"which misses {best.missed(budget)}."
        )
    fitting = sum(not candidate.misses for candidate in candidates)
    path = output / "recommended.toml"
    write_atomically(path, best.toml().encode())
    console.print(
        marked(
            (best.point["name"], "bold"),
            f": least latency, then least look-up tables, of {fitting} among {len(candidates)} "
            f"points that keep the budget: {best.figures()}.\n{path} written: "
            f"holdfast sim --network {best.point['file']} --config {path}",
        )
    )
    return 0


def _watch(ended: Callable[[], None]) -> exploration.Watch:
    """Says what is known, then shows how far the measurements are."""

    @contextmanager
    def watch(plans: list[PointPlan], wanted: list[Measurement], store: Cache) -> Iterator[Done]:
        ended()
        every = {store.path(m) for plan in plans for m in plan.measurements.values()}
        console.print(
            f"{len(plans)} points, {len(every)} measurements, {len(every) - len(wanted)} of them "
            "known."
        )
        if store.outdated:
            console.print(
                f"{len(set(store.outdated))} known ones are from other sources or tools: "
                "measured anew."
            )
        for path in dict.fromkeys(store.damaged):
            console.print(f"{path} is damaged: measured anew.")
        if not wanted:
            yield lambda measurement: None
            return
        count = itertools.count(1)
        with rated("Measuring", len(wanted), "{:.1f}/min") as tell:

            def done(measurement: Measurement) -> None:
                number = next(count)
                tell(number, 60 * number)

            yield done

    return watch


def _table(summary: dict[str, Any]) -> Table:
    target = summary["study"]["targets"][0]
    table = plain_table(f"Explored; area on {target}", "network", wrap=True)
    placed = any(point["milliseconds"] for point in summary["points"])
    names = ["array", "guard", *(o.heading for o in OBJECTIVES.values()), "DSP"]
    for name in (*names, *(["ms"] if placed else []), "front"):
        table.add_column(f" {name}", justify="right", no_wrap=True)
    for point in summary["points"]:
        config = point["config"]
        values = ((objective, objective.value(point)) for objective in OBJECTIVES.values())
        table.add_row(
            point["network"],
            f"{config['rows']}x{config['cols']}",
            point["guard"],
            *(objective.cell(value) if value else "-" for objective, value in values),
            f"{point['area'][target]['dsp']:,}",
            *([_best(point["milliseconds"])] if placed else []),
            "*" if point["front"] else "",
        )
    return table


def _best(milliseconds: dict[str, float]) -> str:
    """Returns those on the fastest board on which the point is placed."""
    return f"{min(milliseconds.values()):.3g}" if milliseconds else "-"


def _audit(summary: dict[str, Any]) -> int:
    """Returns 1 if plain RTL disagreed with a campaign."""
    wrong = exploration.disagreements(summary)
    for text in wrong:
        console.print(marked((f"{text}: plain RTL disagrees.", "bold red")))
    return 1 if wrong else 0


def _fallen(candidates: list[Candidate]) -> Table:
    """Shows why the nearest points fell out."""
    ends = ("" if o.exact else ", low" if o.larger else ", high" for o in OBJECTIVES.values())
    titles = (o.title + end for o, end in zip(OBJECTIVES.values(), ends, strict=True))
    table = plain_table(
        "Nearest points", "point", *titles, "misses", left=("misses",), gap=1, wrap=True
    )
    for candidate in candidates[:_NEAR]:
        table.add_row(
            candidate.point["name"],
            *(objective.text(candidate.values[name]) for name, objective in OBJECTIVES.items()),
            ", ".join(OBJECTIVES[name].title for name in candidate.misses),
        )
    return table


if __name__ == "__main__":
    sys.exit(run(app))
