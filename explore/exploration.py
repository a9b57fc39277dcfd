"""From a study to what is known of every point.

    summary = explore(Study(networks=("resnet8",)), folder=Path("build/explore"), jobs=4)
    summary["points"][0]["front"]

Points share most measurements: accuracy does not depend on the array, area not on the network, and
one campaign serves all guard settings of a netlist.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.base.cache import Cache, Measurement, file_hash
from holdfast.base.checked import with_check
from holdfast.base.errors import HoldfastError
from holdfast.base.files import cache_folder, make_folder, write_atomically, write_json
from holdfast.base.versions import versions
from holdfast.explore.measurements.accuracy import AccuracyMeasurement
from holdfast.explore.measurements.latency import LatencyMeasurement, placed_clocks
from holdfast.explore.measurements.model_faults import ModelFaults
from holdfast.explore.measurements.networks import load
from holdfast.explore.measurements.reliability import Campaign
from holdfast.explore.objectives.base import Request, of_guard
from holdfast.explore.objectives.registry import OBJECTIVES
from holdfast.nn.data.cifar import find_data, generated_images, test_images
from holdfast.nn.data.images import check_network
from holdfast.sim.tools import find_tools

from .pareto import front
from .report import report
from .runner import Done, measure
from .study import Point, Study

FORMAT = 1
"""Of the summary."""


@dataclass(frozen=True)
class PointPlan:
    """Holds a point and its measurements, by name; those that cannot be made with the reason."""

    request: Request
    measurements: dict[str, Measurement]
    absent: dict[str, str]

    @property
    def point(self) -> Point:
        return self.request.point


Watch = Callable[[list[PointPlan], list[Measurement], Cache], AbstractContextManager[Done]]


def explore(
    study: Study,
    *,
    data: Path | None = None,
    folder: Path = Path("build", "explore"),
    cache: Path | None = None,
    jobs: int = 1,
    placed: Path = Path("build", "bitstream"),
    watch: Watch = lambda plans, wanted, store: nullcontext(lambda measurement: None),
) -> dict[str, Any]:
    """Measures every point of a study, and finds those that no other point beats.

    Parameters
    ----------
    data : Path, optional
        CIFAR-10, as in `nn.data.cifar.find_data`.
    folder : Path
        For files of synthesis.
    cache : Path, optional
        Folder of finished measurements; by default that of all explorations.
    jobs : int
        Processes; 1: this one.
    placed : Path
        Folder of bitstreams, whose clocks turn cycles into milliseconds.
    watch : function
        Is called with the plans, the measurements that are missing and the cache; returns the
        context in which they are made, whose value is called after each.

    Returns
    -------
    dict
        Plain data: ``study``, ``points``, ``front_of``, ``seconds``, ``versions``.

    Raises
    ------
    HoldfastError
        An accelerator cannot hold a network, the data do not fit it, or a tool is missing.
    """
    began = time.monotonic()
    study.points()
    if study.faults:
        find_tools()
    store = Cache(cache or cache_folder("explore/cache"))
    for place in (folder, store.folder, *store.folder.glob("*/")):
        make_folder(place)
    plans = plan_points(study, data, folder, store)
    wanted = missing(plans, store)
    check_data(wanted, data)
    with watch(plans, wanted, store) as done:
        measure(wanted, store, jobs, done)
    return {
        "format": FORMAT,
        "seconds": round(time.monotonic() - began, 1),
        **summarize(study, plans, Cache(store.folder), placed),
        "versions": versions(),
    }


def disagreements(summary: dict[str, Any]) -> list[str]:
    """Lists points and faults of which plain RTL found something else than their campaign."""
    return [
        f"{point['name']}: {fault}"
        for point in summary["points"]
        if point["campaign"]
        for fault in point["campaign"]["all"]["audit"]["faults"]
    ]


def write_results(summary: dict[str, Any], folder: Path) -> None:
    """Writes ``summary.json`` and ``report.html``."""
    write_json(folder / "summary.json", with_check(summary))
    write_atomically(folder / "report.html", report(summary).encode("utf-8", "backslashreplace"))


def plan_points(study: Study, data: Path | None, folder: Path, cache: Cache) -> list[PointPlan]:
    """Returns what is to be measured of every point.

    Raises
    ------
    HoldfastError
        An accelerator cannot hold a network.
    """
    return [_plan(study, point, data, folder, cache) for point in study.points()]


def _plan(study: Study, point: Point, data: Path | None, folder: Path, cache: Cache) -> PointPlan:
    latency = LatencyMeasurement(point.network, point.config)
    known = cache.get(latency)
    if known is None:
        try:
            known = latency.run()
        except HoldfastError as error:
            raise HoldfastError(f"{point.name} cannot be built: {error}") from None
        cache.put(latency, known)
    request = Request(study, point, data, folder, known["resident"])
    found: dict[str, Measurement | str] = {}
    for objective in OBJECTIVES.values():
        found |= objective.measurements(request)
    for model in study.models:
        found[f"model {model}"] = ModelFaults(
            point.network, point.config, study.guards, model, study.model_images, study.seed, data
        )
    return PointPlan(
        request,
        {name: made for name, made in found.items() if not isinstance(made, str)},
        {name: reason for name, reason in found.items() if isinstance(reason, str)},
    )


def missing(plans: Sequence[PointPlan], cache: Cache) -> list[Measurement]:
    """Returns measurements that the cache does not have, each once, point by point."""
    every: dict[Path, Measurement] = {}
    for plan in plans:
        for measurement in plan.measurements.values():
            every.setdefault(cache.path(measurement), measurement)
    return [m for m in every.values() if cache.get(m) is None]


def check_data(wanted: Sequence[Measurement], data: Path | None) -> None:
    """Checks that the networks which are to be measured fit the data, before work begins.

    Raises
    ------
    HoldfastError
        The data cannot be read, or one takes other images or has other classes.
    """
    kinds = AccuracyMeasurement | ModelFaults | Campaign
    networks = {measurement.network for measurement in wanted if isinstance(measurement, kinds)}
    if networks:
        images = test_images(data) if find_data(data) else generated_images(1, 0)
        for graph in map(load, sorted(networks)):
            check_network(graph.network, graph.nodes[0].shape, graph.classes, images)


def summarize(
    study: Study, plans: Sequence[PointPlan], cache: Cache, placed: Path
) -> dict[str, Any]:
    """Returns all points as plain data, and which are on the front of all measured objectives."""
    points = [_point(plan, cache, placed) for plan in plans]
    values = {
        name: [objective.value(point) for point in points] for name, objective in OBJECTIVES.items()
    }
    names = [name for name, found in values.items() if None not in found]
    costs = [
        [-value.value if OBJECTIVES[name].larger else value.value for name in names
         if (value := values[name][index])]
        for index in range(len(points))
    ]  # fmt: skip
    for point, best in zip(points, front(costs), strict=True):
        point["front"] = best
    return {"study": study.as_json(), "front_of": names, "points": points}


def _point(plan: PointPlan, cache: Cache, placed: Path) -> dict[str, Any]:
    point, study = plan.point, plan.request.study
    results = {name: cache.get(m) for name, m in plan.measurements.items()}
    facts: dict[str, Any] = {}
    for objective in OBJECTIVES.values():
        facts |= objective.facts(plan.request, results)
    clocks = placed_clocks(placed, point.config)
    return {
        "name": point.name,
        "network": point.label,
        "file": str(point.network),
        "file_hash": file_hash(point.network),
        "guard": point.guard,
        "config": point.config.values,
        **facts,
        "models": {
            model: of_guard(results[f"model {model}"], point.guard) for model in study.models
        },
        "clock_mhz": clocks,
        "milliseconds": {name: facts["cycles"] / mhz / 1e3 for name, mhz in clocks.items()},
        "absent": plan.absent,
    }
