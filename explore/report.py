"""The exploration's report: linked plots, sortable tables and the guard's effect, in one file."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from holdfast.base.figures import Figure, scatter
from holdfast.base.page import Cell, count, render, share
from holdfast.explore.objectives.base import Objective
from holdfast.explore.objectives.registry import OBJECTIVES
from holdfast.fault.results.tables import ratio

from .measurements.model_faults import of_array

_DETAILED = ("accuracy", "sdc1", "lut", "cycles")
_AREA = ("lut", "ff", "dsp", "mem")

Point = Mapping[str, Any]


def report(summary: Mapping[str, Any]) -> str:
    """Returns the page of an exploration's summary."""
    points, study = summary["points"], summary["study"]
    sets = list(dict.fromkeys(s["data"] for p in points for s in _sets(p)))
    target = study["targets"][0]
    return render(
        "explore/report.html",
        title=f"Exploration of {len(points)} points",
        figures=list(figures(points)),
        networks=list(dict.fromkeys(point["network"] for point in points)),
        study=study,
        front=[OBJECTIVES[name].title for name in summary["front_of"]],
        command=summary["command"],
        headings=[
            "network", "array", "guard", "bits", *(f"accuracy {name}" for name in sets), "SDC-1",
            "SDC-1 of activations", "AVF", f"LUT {target}", "FF", "DSP", "memories", "cycles",
            "ms placed", *(objective.axis for objective in _further()), "front",
        ],
        points=[list(_point(point, sets, target)) for point in points],
        pairs=list(_pairs(points)),
        models={model: _model(points, model) for model in study["models"]},
        area=_area(points, study["targets"]),
        absent=sorted(
            {
                f"{point['name']}: {what}, because {why}."
                for point in points
                for what, why in point["absent"].items()
            }
        ),
    )  # fmt: skip


def figures(points: Sequence[Point]) -> Iterable[Figure]:
    rows = [_measures(number, point) for number, point in enumerate(points)]
    for y, x in combinations(OBJECTIVES.values(), 2):
        shown = [row for row in rows if x.name in row and y.name in row]
        if shown:
            yield scatter(
                f"{y.name}_{x.name}", f"{y.axis} against {x.axis}", shown,
                (x.name, x.axis), (y.name, y.axis), "guard", "network",
            )  # fmt: skip


def _measures(number: int, point: Point) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": point["name"], "network": point["network"], "array": _array(point),
        "guard": point["guard"], "filled": point["front"], "point": number,
    }  # fmt: skip
    for name, objective in OBJECTIVES.items():
        found = objective.value(point)
        if found:
            ends = {"": found.value, " low": found.low, " high": found.high}
            row |= {
                f"{name}{end}": objective.scale * value
                for end, value in ends.items()
                if not (end and objective.exact)
            }
    return row


def _point(point: Point, sets: Sequence[str], target: str) -> Iterable[object]:
    config, area, campaign = point["config"], point["area"][target], point["campaign"]
    found = {entry["data"]: entry for entry in _sets(point)}
    yield point["network"]
    yield Cell(_array(point), key=config["rows"] * config["cols"])
    yield point["guard"]
    yield f"a{config['act_bits']} w{config['weight_bits']}"
    for name in sets:
        entry = found.get(name)
        yield (
            Cell(f"{entry['percent']:.2f}", f"{entry['low']:.2f} to {entry['high']:.2f}",
                 entry["percent"])
            if entry
            else Cell("-", key=-1)
        )  # fmt: skip
    for part, kind in (("all", "sdc1"), ("activations", "sdc1"), ("all", "avf")):
        yield share(campaign[part]["total"][kind] if campaign and part in campaign else None)
    yield from (count(area[name]) for name in _AREA)
    yield count(point["cycles"])
    times = point["milliseconds"]
    boards = (f"{board}, {point['clock_mhz'][board]:.1f} MHz" for board in times)
    placed = ", ".join(f"{ms:.3g} ({b})" for ms, b in zip(times.values(), boards, strict=True))
    yield Cell(placed or "-", key=min(times.values(), default=1e9))
    for objective in _further():
        value = objective.value(point)
        yield Cell(objective.text(value.value), key=value.value) if value else Cell("-", key=-1)
    yield "yes" if point["front"] else ""


def _pairs(points: Sequence[Point]) -> Iterable[list[object]]:
    for point in points:
        for part in ("all", "activations"):
            entry = (point["campaign"] or {}).get(part)
            if entry and "pairs" in entry:
                total = entry["pairs"]["total"]
                yield [
                    point["name"], part, count(total["faults"]),
                    *(Cell(f"{value:.3%}", key=value) for value in total["sdc1"]),
                    total["prevented"], total["caused"], share(total["difference"]),
                    ratio(total["ratio"]),
                ]  # fmt: skip


def _model(points: Sequence[Point], model: str) -> list[list[object]]:
    rows: dict[tuple[str, str], list[object]] = {}
    for point in points:
        name = point["network"]
        if of_array(model):
            name += f" {_array(point)}"
        entry = point["models"][model]
        change, accuracy = entry.get("ratio"), entry.get("faulty_accuracy")
        rows[name, point["guard"]] = [
            name, point["guard"], f"{entry['images']:,} {entry['set']}", share(entry["sdc1"]),
            share(entry["clean_accuracy"] if accuracy else None), share(accuracy),
            entry.get("prevented", ""), entry.get("caused", ""), ratio(change) if change else "",
        ]  # fmt: skip
    return list(rows.values())


def _area(points: Sequence[Point], targets: Sequence[str]) -> list[list[object]]:
    rows: dict[tuple[object, ...], list[object]] = {}
    for point in points:
        config = point["config"]
        fixed = "" if config["learnt_bounds"] else " of fixed bounds"
        guard = f"guard{fixed}" if config["guard"] else "no guard"
        name = f"{_array(point)} a{config['act_bits']} w{config['weight_bits']} {guard}"
        for target in targets:
            key = target, name, config["acc_bits"]
            rows.setdefault(key, [*key, *(count(point["area"][target][k]) for k in _AREA)])
    return list(rows.values())


def _further() -> list[Objective]:
    """Returns objectives that have no columns of their own."""
    return [objective for name, objective in OBJECTIVES.items() if name not in _DETAILED]


def _sets(point: Point) -> list[dict[str, Any]]:
    return (point["accuracy"] or {}).get("sets", [])


def _array(point: Point) -> str:
    return f"{point['config']['rows']}x{point['config']['cols']}"
