"""From a study to what is known of every point.

    plans = [plan_point(study, point, data, folder, resident) for point in study.points()]
    measure(missing(plans, cache), cache)
    summary = summarize(study, plans, cache, placed)

Points share most measurements: accuracy does not depend on the array, area not on the network, and
one campaign serves all guard settings of a netlist.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.base.cache import Cache, Measurement, file_hash
from holdfast.base.errors import HoldfastError
from holdfast.explore.measurements.accuracy import AccuracyMeasurement
from holdfast.explore.measurements.area import AreaMeasurement
from holdfast.explore.measurements.latency import LatencyMeasurement, placed_clocks
from holdfast.explore.measurements.model_faults import ModelFaults
from holdfast.explore.measurements.networks import load
from holdfast.explore.measurements.reliability import Campaign
from holdfast.nn.data.cifar import find_data, generated_images, test_images
from holdfast.nn.data.images import check_network
from holdfast.nn.graph.guard_modes import GUARDS

from .pareto import front
from .study import Point, Study, with_guard

__all__ = [
    "OBJECTIVES",
    "PointPlan",
    "check_data",
    "missing",
    "objectives",
    "plan_points",
    "summarize",
]

OBJECTIVES = ("accuracy", "sdc1", "lut", "cycles")
"""What a front weighs; the first shall be large, the others small."""

NO_DATA = "no CIFAR-10 data were at hand"
STREAMED = "its weights do not fit on chip at once, which a campaign needs"
NOT_ASKED = "no faults were asked for"


@dataclass(frozen=True)
class PointPlan:
    """A point and its measurements, by name; those that cannot be made with the reason."""

    point: Point
    measurements: dict[str, Measurement]
    absent: dict[str, str]


def plan_points(study: Study, data: Path | None, folder: Path, cache: Cache) -> list[PointPlan]:
    """What is to be measured of every point.

    Parameters
    ----------
    data : Path or None
        CIFAR-10, as in `nn.data.cifar.find_data`.
    folder : Path
        For files of synthesis.

    Raises
    ------
    HoldfastError
        An accelerator cannot hold a network.
    """
    return [_plan(study, point, data, folder, cache) for point in study.points()]


def _plan(study: Study, point: Point, data: Path | None, folder: Path, cache: Cache) -> PointPlan:
    settings = _of_one_netlist(study.guards, point.guard)
    guarded = with_guard(point.config, settings)
    latency = LatencyMeasurement(point.network, point.config)
    known = cache.get(latency)
    if known is None:
        try:
            known = latency.run()
        except HoldfastError as error:
            raise HoldfastError(f"{point.name} cannot be built: {error}") from None
        cache.put(latency, known)
    found: dict[str, Measurement] = {"latency": latency}
    absent = {}
    for target in study.targets:
        found[f"area {target}"] = AreaMeasurement(point.config, target, folder / "synthesis")
    if find_data(data):
        found["accuracy"] = AccuracyMeasurement(point.network, point.guard, data)
    else:
        absent["accuracy"] = NO_DATA
    for model in study.models:
        found[f"model {model}"] = ModelFaults(
            point.network, point.config, study.guards, model, study.model_images, study.seed, data
        )
    if not study.faults:
        absent["campaign"] = NOT_ASKED
    elif not known["resident"]:
        absent["campaign"] = STREAMED
    else:
        found["campaign"] = Campaign(
            point.network, guarded, settings, study.faults, study.minimum, study.structures,
            study.images, study.seed, study.audit, data,
        )  # fmt: skip
    return PointPlan(point, found, absent)


def _of_one_netlist(settings: Sequence[str], chosen: str) -> tuple[str, ...]:
    """Settings that share a campaign with the chosen one: no accelerator has both bounds."""
    learnt = tuple(name for name in settings if not GUARDS[name].fixed)
    if GUARDS[chosen].fixed or learnt == ("off",):
        return tuple(name for name in settings if name == "off" or GUARDS[name].fixed)
    return learnt


def missing(plans: Sequence[PointPlan], cache: Cache) -> list[Measurement]:
    """Measurements that the cache does not have, each once, point by point."""
    wanted: dict[Path, Measurement] = {}
    known = set()
    for plan in plans:
        for measurement in plan.measurements.values():
            path = cache.path(measurement)
            if path in wanted or path in known:
                continue
            if cache.get(measurement) is None:
                wanted[path] = measurement
            else:
                known.add(path)
    return list(wanted.values())


def check_data(wanted: Sequence[Measurement], data: Path | None) -> None:
    """Check that the networks which are to be measured fit the data, before work begins.

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
    """All points as plain data, and which of them are on the front of all objectives."""
    points = [_point(study, plan, cache, placed) for plan in plans]
    names = [name for name in OBJECTIVES if all(objectives(p)[name] is not None for p in points)]
    costs = [_costs(point, names) for point in points]
    for point, best in zip(points, front(costs), strict=True):
        point["front"] = best
    return {"study": study.as_json(), "front_of": names, "points": points}


def _costs(point: dict[str, Any], names: Sequence[str]) -> list[float]:
    values = objectives(point)
    return [(-1 if name == "accuracy" else 1) * (values[name] or 0) for name in names]


def objectives(point: dict[str, Any]) -> dict[str, float | None]:
    """A point's values by :data:`OBJECTIVES`; None: not measured. Accuracy is of the largest test
    set, in per cent; SDC-1 a share; LUT of the first target.
    """
    sets = (point["accuracy"] or {}).get("sets") or [None]
    campaign = point["campaign"]
    return {
        "accuracy": sets[0]["percent"] if sets[0] else None,
        "sdc1": campaign["all"]["total"]["sdc1"]["value"] if campaign else None,
        "lut": next(iter(point["area"].values()))["lut"],
        "cycles": point["cycles"],
    }


def _point(study: Study, plan: PointPlan, cache: Cache, placed: Path) -> dict[str, Any]:
    point = plan.point
    values = {name: cache.get(m) for name, m in plan.measurements.items()}
    latency = values["latency"]
    assert latency is not None
    clocks = placed_clocks(placed, point.config)

    def guarded(name: str) -> dict[str, Any] | None:
        value = values.get(name)
        if value is None:
            return None
        own = {key: part for key, part in value.items() if key != "guards"}
        return {**own, **value["guards"][point.guard]}

    return {
        "name": point.name,
        "network": point.label,
        "file": str(point.network),
        "file_hash": file_hash(point.network),
        "guard": point.guard,
        "config": point.config.values,
        "accuracy": values.get("accuracy"),
        "campaign": guarded("campaign"),
        "models": {model: guarded(f"model {model}") for model in study.models},
        "area": {target: values[f"area {target}"] for target in study.targets},
        "cycles": latency["cycles"],
        "resident": latency["resident"],
        "clock_mhz": clocks,
        "milliseconds": {name: latency["cycles"] / mhz / 1e3 for name, mhz in clocks.items()},
        "absent": plan.absent,
    }
