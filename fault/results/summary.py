"""Shares, intervals and profiles of a campaign's results.

    summary = summarize(tables, plan, images=1, confidence=0.95)
    summary["total"]["sdc1"]                     # {"value": ..., "low": ..., "high": ...}

Shares of the whole space weight every structure by its population. Several images under one fault
are a cluster: the unit of all intervals is the fault (`base.statistics`).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from holdfast.base.paired import Pairs, combined
from holdfast.base.statistics import Sample, share, stratified
from holdfast.fault.outcome.verdict import EFFECTS
from holdfast.fault.sampling.plan import PHASES, Plan

__all__ = ["FAILURES", "compare", "failure_rates", "summarize"]

FAILURES = ("benign", "sdc1", "stopped", "hang")
"""Effects that count as failures in the architectural vulnerability factor (AVF)."""

_KINDS = (
    *EFFECTS, "avf", "detected", "corrected", "undetected_sdc1", "false_alarm", "sdc5", "sdc10",
    "sdc20",
)  # fmt: skip
_KEPT = ["structure", "signal", "bit", "layer", "phase", "number", "image", "effect", "died",
         "detected", "false_alarm", "latency", "sdc5", "sdc10", "sdc20", "right", "path",
         "audited", "agrees", "fault"]  # fmt: skip
_WORST = 20


class _Table:
    """Columns as arrays; texts as indices into their names."""

    def __init__(self, tables: Iterable[pa.Table]):
        table = pa.concat_tables([t.select(_KEPT) for t in tables]).unify_dictionaries()
        self.names: dict[str, list[str]] = {}
        self.columns: dict[str, NDArray] = {}
        for name in _KEPT:
            column = table[name].combine_chunks()
            if pa.types.is_dictionary(column.type):
                self.names[name] = column.dictionary.to_pylist()
                column = column.indices
            elif name in ("right", "agrees"):
                if name == "right":
                    self.columns["labelled"] = column.is_valid().to_numpy(zero_copy_only=False)
                column = pc.fill_null(column, False)
            self.columns[name] = column.to_numpy(zero_copy_only=False)
        self.rows = table.num_rows

    def equals(self, column: str, value: str) -> NDArray[np.bool_]:
        names = self.names[column]
        if value not in names:
            return np.zeros(self.rows, bool)
        return self.columns[column] == names.index(value)

    def faults(self, structure: str) -> NDArray[np.intp]:
        """Rows of a structure, fault by fault and for each image by image."""
        rows = np.flatnonzero(self.equals("structure", structure))
        return rows[np.lexsort((self.columns["image"][rows], self.columns["number"][rows]))]

    def whole(self, plan: Plan, images: int) -> Collection[str]:
        """Structures of which these are all faults that exist."""
        return plan.tried_whole({n: len(self.faults(n)) // images for n in plan.structures})

    def kinds(self) -> dict[str, NDArray[np.bool_]]:
        """Which rows count as what."""
        kinds = {effect: self.equals("effect", effect) for effect in EFFECTS}
        kinds["avf"] = np.logical_or.reduce([kinds[name] for name in FAILURES])
        for name in ("detected", "false_alarm", "sdc5", "sdc10", "sdc20"):
            kinds[name] = self.columns[name].astype(bool)
        kinds["undetected_sdc1"] = kinds["sdc1"] & ~kinds["detected"]
        golden = kinds["masked"] | kinds["latent"]
        kinds["corrected"] = kinds["detected"] & ~kinds["false_alarm"] & golden
        return kinds


def summarize(
    tables: Iterable[pa.Table], plan: Plan, images: int, confidence: float = 0.95
) -> dict[str, Any]:
    """Everything that a report shows, as plain data.

    Parameters
    ----------
    tables : iterable of Table
        Shards.
    images : int
        Images under every fault.
    """
    table = _Table(tables)
    kinds = table.kinds()
    whole = table.whole(plan, images)
    structures = {}
    samples: dict[str, dict[str, Sample]] = {kind: {} for kind in _KINDS}
    for name in plan.structures:
        rows = table.faults(name)
        if not len(rows):
            continue
        entry: dict[str, Any] = {
            "bits": plan.space.bits(name),
            "population": plan.population[name],
            "faults": len(rows) // images,
            "counts": {kind: int(kinds[kind][rows].sum()) for kind in _KINDS},
        }
        shares = {}
        for kind in _KINDS:
            hits = kinds[kind][rows].reshape(-1, images)
            samples[kind][name] = Sample.of(hits, name in whole)
            shares[kind] = asdict(share(samples[kind][name], confidence))
        entry["shares"] = shares
        structures[name] = entry
    total = {
        kind: asdict(stratified(samples[kind], plan.population, confidence)) for kind in _KINDS
    }
    audited = table.columns["audited"].astype(bool)
    wrong = audited & ~table.columns["agrees"].astype(bool)
    latency = table.columns["latency"]
    seen = latency[latency >= 0]
    return {
        "population": plan.total,
        "cycles": plan.cycles,
        "bits": plan.space.bits(),
        "excluded_bits": plan.excluded,
        "faults": table.rows // images,
        "images": images,
        "confidence": confidence,
        "structures": structures,
        "total": total,
        "layers": _profile(table, kinds, plan, images, "layer", confidence),
        "phases": _profile(table, kinds, plan, images, "phase", confidence),
        "phase_by_structure": {
            name: _groups(table, kinds, name, images, "phase", name in whole, confidence)
            for name in structures
        },
        "bits_by_structure": {
            name: _groups(table, kinds, name, images, "bit", name in whole, confidence)
            for name in structures
        },
        "processing_elements": _elements(table, kinds, plan),
        "died": {
            name: int(table.equals("died", name).sum()) for name in table.names["died"] if name
        },
        "paths": {name: int(table.equals("path", name).sum()) for name in table.names["path"]},
        "detection_latency": {
            "seen": len(seen),
            "median": float(np.median(seen)) if len(seen) else None,
            "largest": int(seen.max()) if len(seen) else None,
        },
        "accuracy": _accuracy(table, plan, images, confidence),
        "worst": _worst(table, kinds, plan, images, confidence),
        "audit": {
            "checked": int(audited.sum()),
            "disagreements": int(wrong.sum()),
            "faults": table.columns["fault"][wrong][:10].tolist(),
        },
    }


def _profile(
    table: _Table,
    kinds: Mapping[str, NDArray],
    plan: Plan,
    images: int,
    column: str,
    confidence: float,
) -> dict[str, dict[str, Any]]:
    """AVF and SDC-1 of every layer or phase, structures weighted by population."""
    order = (
        [step.name for step in plan.schedule.program.steps] if column == "layer" else list(PHASES)
    )
    structures = {name: table.faults(name) for name in plan.structures}
    whole = table.whole(plan, images)
    profile: dict[str, dict[str, Any]] = {}
    for value in order:
        here = table.equals(column, value)
        if not here.any():
            continue
        profile[value] = {"faults": int(here.sum())}
        for kind in ("avf", "sdc1"):
            samples = {
                name: Sample.of(kinds[kind][rows[here[rows]]].reshape(-1, images), name in whole)
                for name, rows in structures.items()
            }
            profile[value][kind] = asdict(stratified(samples, plan.population, confidence))
    return profile


def _groups(
    table: _Table,
    kinds: Mapping[str, NDArray],
    structure: str,
    images: int,
    column: str,
    whole: bool,
    confidence: float,
) -> dict[str, dict[str, Any]]:
    """Trials, AVF and SDC-1 of a structure by the values of a column."""
    rows = table.faults(structure)
    values = table.columns[column][rows]
    names = table.names.get(column)
    groups = {}
    for value in np.unique(values):
        here = rows[values == value]
        groups[names[value] if names else str(int(value))] = {
            "faults": len(here),
            **{
                kind: asdict(share(Sample.of(hits[here].reshape(-1, images), whole), confidence))
                for kind, hits in kinds.items()
                if kind in ("avf", "sdc1")
            },
        }
    return groups


def _elements(table: _Table, kinds: Mapping[str, NDArray], plan: Plan) -> list[dict[str, int]]:
    """Trials, failures and SDC-1 of every register kind and bit of every processing element."""
    found: dict[tuple[int, int, str, int], list[int]] = {}
    for index, name in enumerate(table.names["signal"]):
        place = plan.space[name].held.place
        if not {"row", "col"} <= place.keys():
            continue
        row, col, register = int(place["row"]), int(place["col"]), name.rpartition("__")[2]
        rows = np.flatnonzero(table.columns["signal"] == index)
        for at in rows:
            entry = found.setdefault((row, col, register, int(table.columns["bit"][at])), [0, 0, 0])
            entry[0] += 1
            entry[1] += int(kinds["avf"][at])
            entry[2] += int(kinds["sdc1"][at])
    return [
        {"row": r, "col": c, "register": name, "bit": bit, "faults": n, "avf": a, "sdc1": s}  # type: ignore
        for (r, c, name, bit), (n, a, s) in sorted(found.items())
    ]


def _worst(
    table: _Table, kinds: Mapping[str, NDArray], plan: Plan, images: int, confidence: float
) -> list[dict[str, Any]]:
    """Registers and memories with the largest lower bound of SDC-1."""
    entries = []
    whole = table.whole(plan, images)
    for structure in plan.structures:
        rows = table.faults(structure)
        signals = table.columns["signal"][rows]
        for signal in np.unique(signals[kinds["sdc1"][rows]]):
            hits = kinds["sdc1"][rows[signals == signal]]
            found = share(Sample.of(hits.reshape(-1, images), structure in whole), confidence)
            entries.append(
                {"signal": table.names["signal"][signal], "structure": structure,
                 "faults": len(hits), "sdc1": int(hits.sum()), "share": asdict(found)}
            )  # fmt: skip
    return sorted(entries, key=lambda entry: -entry["share"]["low"])[:_WORST]


def failure_rates(
    summary: Mapping[str, Any], plan: Plan, per_megabit: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Failures in time (1e9 hours), from raw rates in FIT per 2**20 bits.

    Parameters
    ----------
    per_megabit : Mapping
        ``flip-flop`` and ``memory``.
    """
    rates: dict[str, dict[str, float]] = {}
    for name, entry in summary["structures"].items():
        raw = sum(
            state.bits / 2**20 * per_megabit[state.kind] for state in plan.space.members(name)
        )
        rates[name] = {"raw": raw} | {
            kind: raw * entry["shares"][kind]["value"] for kind in ("sdc1", "avf")
        }
    rates["total"] = {
        kind: sum(rate[kind] for rate in rates.values()) for kind in ("raw", "sdc1", "avf")
    }
    return rates


def compare(
    first: Iterable[pa.Table],
    second: Iterable[pa.Table],
    plan: Plan,
    images: int,
    confidence: float = 0.95,
) -> dict[str, dict[str, Any]]:
    """SDC-1 of the same faults in two settings, by structure and weighted by population.

    Returns
    -------
    dict
        By structure and ``total``: ``faults``, ``sdc1`` (in both settings: how many; of the total,
        the weighted share), ``prevented`` (only in the first), ``caused`` (only in the second),
        ``difference`` (second minus first), ``ratio`` (second over first; with ``value`` and
        ``high`` None where the first may have none, None where neither has one), and
        ``false_alarms`` and ``detected`` in the second.
    """
    before, after = _Table(first), _Table(second)
    bad, now = before.kinds()["sdc1"], after.kinds()
    whole = before.whole(plan, images)
    result: dict[str, dict[str, Any]] = {}
    pairs: dict[str, Pairs] = {}
    for name in plan.structures:
        rows, others = before.faults(name), after.faults(name)
        if not len(rows):
            continue
        pair = pairs[name] = Pairs(
            bad[rows].reshape(-1, images),
            now["sdc1"][others].reshape(-1, images),
            name in whole,
        )
        ratio = pair.ratio(confidence)
        result[name] = {
            "faults": len(rows),
            "sdc1": [int(pair.before.sum()), int(pair.after.sum())],
            "prevented": int((pair.before & ~pair.after).sum()),
            "caused": int((pair.after & ~pair.before).sum()),
            "difference": asdict(pair.difference(confidence)),
            "ratio": asdict(ratio) if ratio else None,
            "detected": int(now["detected"][others].sum()),
            "false_alarms": int(now["false_alarm"][others].sum()),
        }
    weights = {name: plan.population[name] / plan.total for name in pairs}
    difference, ratio = combined(pairs, weights, confidence)
    result["total"] = {
        "faults": sum(entry["faults"] for entry in result.values()),
        "sdc1": [
            sum(w * float(side(pairs[name]).mean()) for name, w in weights.items())
            for side in (attrgetter("before"), attrgetter("after"))
        ],
        **{key: sum(entry[key] for entry in result.values()) for key in ("prevented", "caused")},
        "difference": asdict(difference),
        "ratio": asdict(ratio) if ratio else None,
        **{
            key: sum(entry[key] for entry in result.values())
            for key in ("detected", "false_alarms")
        },
    }
    return result


def _accuracy(table: _Table, plan: Plan, images: int, confidence: float) -> dict[str, Any] | None:
    """Images classified rightly without a fault and what an upset takes from that; None without
    labels.
    """
    known = table.columns["labelled"].astype(bool)
    if not known.all():
        return None
    right, image = table.columns["right"].astype(bool), table.columns["image"]
    same = ~np.logical_or.reduce([table.equals("effect", e) for e in ("sdc1", "stopped", "hang")])
    golden = np.zeros(images, bool)
    golden[image[same & right]] = True
    pairs, whole = {}, table.whole(plan, images)
    for name in plan.structures:
        rows = table.faults(name)
        if len(rows):
            after = right[rows].reshape(-1, images)
            pairs[name] = Pairs(np.broadcast_to(golden, after.shape), after, name in whole)
    weights = {name: plan.population[name] / plan.total for name in pairs}
    change, _ = combined(pairs, weights, confidence)
    return {
        "golden": int(golden.sum()),
        "images": images,
        "drop": {"value": -change.value, "low": -change.high, "high": -change.low},
        "drop_by_structure": {
            name: -pair.difference(confidence).value for name, pair in pairs.items()
        },
    }
