"""A campaign's report: one HTML file that needs nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from holdfast.base.figures import Figure, heat_map, intervals
from holdfast.base.page import Cell, count, render, share
from holdfast.fault.model.models.base import FaultModel
from holdfast.fault.outcome.effects import EFFECTS

from .rates import FailureRates
from .rates_files import section
from .record import Element, StructureSummary, Summary
from .tables import precision, ratio

_NAMES = {"sdc1": "SDC-1", "avf": "AVF"}
_SHOWN = ("sdc1", "undetected_sdc1", "avf")


def report(
    summary: Summary,
    command: str,
    pairs: Mapping[str, Mapping[str, Mapping[str, Any]]],
    rates: FailureRates | None = None,
) -> str:
    """Returns the page.

    Parameters
    ----------
    summary : Summary
        With its ``settings``.
    command : str
        What repeats the campaign.
    pairs : Mapping
        Comparisons by the first setting and the second; may be empty.
    rates : FailureRates or None
        In an environment.
    """
    settings = summary.settings
    compared = [
        (first, second, entries)
        for first, others in pairs.items()
        for second, entries in others.items()
    ]
    return render(
        "fault/results/report.html",
        title=f"{settings['name']} on {settings['accelerator']}",
        figures=[*_figures(summary), *(_difference(*pair) for pair in compared)],
        summary=summary,
        command=command,
        settings=list(_settings(settings)),
        effects=[_effects(name, entry) for name, entry in summary.structures.items()],
        effects_total=_effects_total(summary),
        effect_names=list(EFFECTS),
        compared=[(first, second, _pairs(entries)) for first, second, entries in compared],
        worst=[
            [w.signal, w.structure, count(w.faults), count(w.sdc1), share(w.share)]
            for w in summary.worst
        ],
        paths=_counts(summary.paths),
        died=_counts(summary.died),
        fit=_fit(summary),
        rates=section(rates) if rates else None,
        precision=precision(summary.sampling) if summary.sampling else "",
        share=share,
        leaves_out=settings["model"].get("leaves_out", FaultModel.leaves_out),
    )


def _figures(summary: Summary) -> list[Figure]:
    structures = {
        name: {**entry.shares, "faults": entry.faults, "counts": entry.counts}
        for name, entry in summary.structures.items()
    }
    layers, phases = (
        {name: asdict(group) for name, group in groups.items()}
        for groups in (summary.layers, summary.phases)
    )
    figures = [
        intervals("by_structure", "SDC-1 and AVF by structure", _rates(structures)),
        intervals("by_layer", "SDC-1 and AVF by layer, weighted by population", _rates(layers)),
        intervals("by_phase", "SDC-1 and AVF by phase of a layer", _rates(phases)),
    ]
    for name, title, column, groups in (
        ("structure_phase", "AVF by structure and phase", "phase", summary.phase_by_structure),
        ("structure_bit", "AVF by structure and bit", "bit", summary.bits_by_structure),
    ):
        rows: list[dict[str, Any]] = [
            {"structure": structure, column: group, "AVF, %": 100 * entry.avf["value"],
             "low, %": 100 * entry.avf["low"], "high, %": 100 * entry.avf["high"],
             "faults": entry.faults}
            for structure, entries in groups.items()
            for group, entry in entries.items()
        ]  # fmt: skip
        order = (
            list(summary.phases)
            if column == "phase"
            else sorted({row[column] for row in rows}, key=int)
        )
        rows.sort(key=lambda row: order.index(row[column]))
        figures.append(heat_map(name, title, rows, column, "structure", "AVF, %"))
    return [*figures, *_elements(summary.processing_elements)]


def _rates(groups: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"label": name, "series": _NAMES[kind], "faults": entry["faults"],
         **({"failures": entry["counts"][kind]} if "counts" in entry else {}),
         **{key: 100 * entry[kind][key] for key in ("value", "low", "high")}}
        for name, entry in groups.items()
        for kind in _NAMES
    ]  # fmt: skip


def _elements(elements: Iterable[Element]) -> list[Figure]:
    """AVF of processing elements by place, of their registers by bit, and of both."""
    keys: dict[str, tuple[str, str, Any]] = {
        "pe_array": ("col", "row", lambda e: (e.col, e.row)),
        "pe_bits": ("bit", "register", lambda e: (e.bit, e.register)),
        "pe_every": ("bit", "element", lambda e: (e.bit, f"{e.row}.{e.col}")),
    }
    figures = []
    for name, (x, y, key) in keys.items():
        totals: dict[tuple[Any, Any], list[int]] = {}
        for entry in elements:
            total = totals.setdefault(key(entry), [0, 0])
            total[0] += entry.faults
            total[1] += entry.avf
        if totals:
            rows = [
                {x: place[0], y: place[1], "AVF, %": 100 * hits / faults, "failures": hits,
                 "faults": faults}
                for place, (faults, hits) in sorted(totals.items())
            ]  # fmt: skip
            title = f"AVF of the processing elements by {y} and {x}"
            figures.append(heat_map(name, title, rows, x, y, "AVF, %"))
    return figures


def _difference(first: str, second: str, entries: Mapping[str, Any]) -> Figure:
    rows = [
        {"label": name, "series": "difference of SDC-1", "faults": entry["faults"],
         "prevented": entry["prevented"], "caused": entry["caused"],
         **{key: 100 * entry["difference"][key] for key in ("value", "low", "high")}}
        for name, entry in entries.items()
    ]  # fmt: skip
    title = f"Guard {second} against {first}, on the same faults"
    return intervals(f"pairs_{second}", title, rows, "difference, percentage points", signed=True)


def _effects(name: str, entry: StructureSummary) -> list[object]:
    counts = [count(entry.counts[effect]) for effect in EFFECTS]
    shares = [share(entry.shares[kind]) for kind in _SHOWN]
    return [name, count(entry.bits), count(entry.faults), *counts, *shares]


def _effects_total(summary: Summary) -> list[object]:
    total = summary.total
    counts = [f"{total[effect]['value']:.2%}" for effect in EFFECTS]
    shares = [share(total[kind]) for kind in _SHOWN]
    bits, faults = count(summary.bits), count(summary.faults)
    return ["weighted by population", bits, faults, *counts, *shares]


def _pairs(entries: Mapping[str, Any]) -> list[list[object]]:
    return [
        [name, count(entry["faults"]), entry["prevented"], entry["caused"],
         share(entry["difference"]), ratio(entry["ratio"]), entry["detected"],
         entry["false_alarms"]]
        for name, entry in entries.items()
    ]  # fmt: skip


def _counts(counts: Mapping[str, int]) -> list[list[object]]:
    total = sum(counts.values()) or 1
    return [[name, count(n), Cell(f"{n / total:.1%}", key=n)] for name, n in counts.items()]


def _settings(settings: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Returns what was asked for, as far as it is not empty."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            kept = [f"{key} {_plain(v)}" for key, v in value.items() if v not in ((), [], "")]
            value = ", ".join(kept) or "none"
        yield name.replace("_", " "), _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "on", False: "off", None: "none"}[value]
    return f"{value:,}" if isinstance(value, int) else str(value)


def _fit(summary: Summary) -> list[list[object]]:
    return [
        [name, *(Cell(f"{rate[kind]:.4g}", key=rate[kind]) for kind in ("raw", "sdc1", "avf"))]
        for name, rate in (summary.fit or {}).items()
        if name != "per_megabit"
    ]
