"""Shares, intervals and profiles of a campaign's results.

    summary = summarize(tables, plan, images=1, confidence=0.95)
    summary.total["sdc1"]                     # {"value": ..., "low": ..., "high": ...}

Shares of the whole space weight every structure by its population, and within a structure every
stratum by its own. Several images under one fault are a cluster: the unit of all intervals is the
fault (`base.statistics`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from holdfast.base.paired import Pairs, combined
from holdfast.base.statistics import Sample, stratified, variance
from holdfast.fault.outcome.effects import EFFECTS
from holdfast.fault.sampling.plan import Plan
from holdfast.fault.sampling.sampler import PHASES

from .drawn import Drawn
from .record import (
    Accuracy,
    Audit,
    Element,
    Group,
    Latency,
    Precision,
    Sampling,
    Share,
    Stratum,
    StructureSummary,
    Summary,
    Suspect,
)
from .rows import Rows

_KINDS = (
    *EFFECTS, "avf", "detected", "corrected", "undetected_sdc1", "false_alarm", "sdc5", "sdc10",
    "sdc20",
)  # fmt: skip
_HARMLESS = ("masked", "latent")
_WORST = 20


def summarize(
    tables: Iterable[pa.Table], plan: Plan, images: int, confidence: float = 0.95
) -> Summary:
    """Sums up shards.

    Parameters
    ----------
    tables : iterable of Table
        Shards.
    images : int
        Images under every fault.
    """
    return _Summarizer(Rows(tables), plan, images, confidence).summary()


def stratum_samples(
    tables: Iterable[pa.Table], plan: Plan, images: int, kind: str
) -> tuple[dict[str, Sample], dict[str, float]]:
    """Returns what shards tell of a share, by stratum, and the weights of these."""
    found = _Summarizer(Rows(tables), plan, images, 0.95)
    return found._samples(kind, found.rows)


class _Summarizer:
    def __init__(self, table: Rows, plan: Plan, images: int, confidence: float):
        self.table, self.plan, self.images, self.confidence = table, plan, images, confidence
        self.kinds, self.whole = table.kinds(), table.whole(plan, images)
        self.every = {name: table.faults(name) for name in plan.structures}
        self.rows = {name: found for name, found in self.every.items() if len(found)}
        self.drawn = {
            name: len(some)
            for structure, rows in self.rows.items()
            for name, some in table.parts(structure, rows, plan).items()
        }

    def summary(self) -> Summary:
        table, plan = self.table, self.plan
        audited = table.columns["audited"].astype(bool)
        wrong = audited & ~table.columns["agrees"].astype(bool)
        latency = table.columns["latency"]
        seen = latency[latency >= 0]
        return Summary(
            population=plan.total,
            cycles=plan.cycles,
            bits=plan.space.bits(),
            excluded_bits=plan.excluded,
            faults=table.rows // self.images,
            images=self.images,
            confidence=self.confidence,
            structures={name: self._structure(name, rows) for name, rows in self.rows.items()},
            total={kind: self._weighted(kind, self.rows) for kind in _KINDS},
            layers=self._profile("layer", [s.name for s in plan.schedule.program.steps]),
            phases=self._profile("phase", PHASES),
            phase_by_structure={name: self._groups(name, "phase") for name in self.rows},
            bits_by_structure={name: self._groups(name, "bit") for name in self.rows},
            processing_elements=self._elements(),
            died={n: int(table.equals("died", n).sum()) for n in table.names["died"] if n},
            paths={n: int(table.equals("path", n).sum()) for n in table.names["path"]},
            detection_latency=Latency(
                len(seen),
                float(np.median(seen)) if len(seen) else None,
                int(seen.max()) if len(seen) else None,
            ),
            accuracy=_accuracy(table, plan, self.images, self.confidence),
            worst=self._worst(),
            audit=Audit(
                int(audited.sum()), int(wrong.sum()), table.columns["fault"][wrong][:10].tolist()
            ),
            sampling=self._sampling(),
        )

    def _sampling(self) -> Sampling | None:
        """What weighs the rows, and how well; None where every structure is one stratum."""
        if self.plan.division is None:
            return None
        precision = {}
        for kind in ("sdc1", "avf"):
            samples, sizes = self._samples(kind, self.rows)
            spread = variance(samples, sizes)
            value = stratified(samples, sizes).value
            precision[kind] = Precision(spread, value * (1 - value) / spread if spread else None)
        strata = {
            name: Stratum(self.plan.sizes[name], number // self.images)
            for name, number in self.drawn.items()
        }
        return Sampling(precision, strata)

    def _samples(
        self, kind: str, rows: Mapping[str, NDArray]
    ) -> tuple[dict[str, Sample], dict[str, float]]:
        """Samples of some rows of structures by stratum, and the weights of these: of a part of a
        stratum's rows, as large a part of its population.
        """
        samples: dict[str, Sample] = {}
        sizes: dict[str, float] = dict(self.plan.population)
        for structure, some in rows.items():
            whole = sizes.pop(structure)
            parts = self.table.parts(structure, some, self.plan)
            weights = {n: self.plan.sizes[n] * len(p) / self.drawn[n] for n, p in parts.items()}
            scale = whole / sum(weights.values()) if len(parts) > 1 else 1.0
            for name, part in parts.items():
                sizes[name] = weights[name] * scale if len(parts) > 1 else whole
                hits = self.kinds[kind][part].reshape(-1, self.images)
                samples[name] = Sample.of(hits, self._known(kind, structure, name, hits))
            if not parts:
                sizes[structure] = whole
        return samples, sizes

    def _known(self, kind: str, structure: str, stratum: str, hits: NDArray) -> bool:
        """Tells whether nothing is left to estimate: all faults were tried, or none can fail."""
        division = self.plan.division
        idle = division is not None and division.unused(stratum) and kind not in _HARMLESS
        return structure in self.whole or (idle and not hits.any())

    def _share(self, kind: str, structure: str, rows: NDArray) -> Share:
        samples, sizes = self._samples(kind, {structure: rows})
        return asdict(stratified(samples, {n: sizes[n] for n in samples}, self.confidence))

    def _weighted(self, kind: str, rows: Mapping[str, NDArray]) -> Share:
        """A share of rows of all structures, weighted by population."""
        return asdict(stratified(*self._samples(kind, rows), self.confidence))

    def _structure(self, name: str, rows: NDArray) -> StructureSummary:
        return StructureSummary(
            bits=self.plan.space.bits(name),
            population=self.plan.population[name],
            flip_flops=sum(s.bits for s in self.plan.space.members(name) if s.kind == "flip-flop"),
            faults=len(rows) // self.images,
            counts={kind: int(self.kinds[kind][rows].sum()) for kind in _KINDS},
            shares={kind: self._share(kind, name, rows) for kind in _KINDS},
        )

    def _profile(self, column: str, order: Iterable[str]) -> dict[str, Group]:
        """AVF and SDC-1 of every layer or phase, structures weighted by population."""
        profile = {}
        for value in order:
            here = self.table.equals(column, value)
            if here.any():
                some = {name: rows[here[rows]] for name, rows in self.every.items()}
                avf, sdc1 = (self._weighted(kind, some) for kind in ("avf", "sdc1"))
                profile[value] = Group(int(here.sum()), avf, sdc1)
        return profile

    def _groups(self, structure: str, column: str) -> dict[str, Group]:
        """Faults, AVF and SDC-1 of a structure by the values of a column."""
        rows, names = self.rows[structure], self.table.names.get(column)
        values = self.table.columns[column][rows]
        groups = {}
        for value in np.unique(values):
            here = rows[values == value]
            avf, sdc1 = (self._share(kind, structure, here) for kind in ("avf", "sdc1"))
            groups[names[value] if names else str(int(value))] = Group(len(here), avf, sdc1)
        return groups

    def _elements(self) -> list[Element]:
        """Faults and failures of every register kind and bit of every processing element."""
        found: dict[tuple[int, int, str, int], list[int]] = {}
        columns = self.table.columns
        if self.plan.division is not None:
            # Bits of one register are drawn unlike.
            return []
        for index, name in enumerate(self.table.names["signal"]):
            place = self.plan.space[name].held.place
            if not {"row", "col"} <= place.keys():
                continue
            row, col, register = int(place["row"]), int(place["col"]), name.rpartition("__")[2]
            for at in np.flatnonzero(columns["signal"] == index):
                key = row, col, register, int(columns["bit"][at])
                entry = found.setdefault(key, [0, 0, 0])
                entry[0] += 1
                entry[1] += int(self.kinds["avf"][at])
                entry[2] += int(self.kinds["sdc1"][at])
        return [Element(*key, *counts) for key, counts in sorted(found.items())]

    def _worst(self) -> list[Suspect]:
        """Registers and memories with the largest lower bound of SDC-1."""
        entries = []
        bad = self.kinds["sdc1"]
        for structure, rows in self.rows.items():
            signals = self.table.columns["signal"][rows]
            for signal in np.unique(signals[bad[rows]]):
                some = rows[signals == signal]
                entries.append(
                    Suspect(
                        self.table.names["signal"][signal], structure, len(some),
                        int(bad[some].sum()), self._share("sdc1", structure, some),
                    )
                )  # fmt: skip
        return sorted(entries, key=lambda entry: -entry.share["low"])[:_WORST]


def failure_rates(
    summary: Summary, plan: Plan, per_megabit: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Failures in time (1e9 hours), from raw rates in FIT per 2**20 bits.

    Parameters
    ----------
    per_megabit : Mapping
        ``flip-flop`` and ``memory``.
    """
    rates: dict[str, dict[str, float]] = {}
    for name, entry in summary.structures.items():
        raw = sum(
            state.bits / 2**20 * per_megabit[state.kind] for state in plan.space.members(name)
        )
        rates[name] = {"raw": raw} | {
            kind: raw * entry.shares[kind]["value"] for kind in ("sdc1", "avf")
        }
    rates["total"] = {
        kind: sum(rate[kind] for rate in rates.values()) for kind in ("raw", "sdc1", "avf")
    }
    return rates


def compare(
    first: Iterable[pa.Table],
    second: Iterable[pa.Table],
    plan: Plan | Drawn,
    images: int,
    confidence: float = 0.95,
    kind: str = "sdc1",
) -> dict[str, dict[str, Any]]:
    """Returns an effect of the same faults in two settings, by structure and weighted by
    population.

    Returns
    -------
    dict
        By structure and ``total``: ``faults``, ``sdc1`` or the effect's name (in both settings: how
        many; of the total, the weighted share), ``prevented`` (only in the first), ``caused`` (only
        in the second), ``difference`` (second minus first), ``ratio`` (second over first; with
        ``value`` and ``high`` None where the first may have none, None where neither has one), and
        ``false_alarms`` and ``detected`` in the second.
    """
    before, after = Rows(first), Rows(second)
    bad, now = before.kinds()[kind], after.kinds()
    whole = before.whole(plan, images)
    result: dict[str, dict[str, Any]] = {}
    pairs: dict[str, Pairs] = {}
    for name in plan.structures:
        rows, others = before.faults(name), after.faults(name)
        if not len(rows):
            continue
        parts = before.parts(name, rows, plan), after.parts(name, others, plan)
        mine = {
            n: _pair(plan, n, bad[some].reshape(-1, images),
                     now[kind][parts[1][n]].reshape(-1, images), name in whole)
            for n, some in parts[0].items()
        }  # fmt: skip
        pairs |= mine
        difference, ratio = combined(mine, _weights(plan, mine), confidence)
        result[name] = {
            "faults": len(rows),
            kind: [int(bad[rows].sum()), int(now[kind][others].sum())],
            "prevented": sum(int((pair.before & ~pair.after).sum()) for pair in mine.values()),
            "caused": sum(int((pair.after & ~pair.before).sum()) for pair in mine.values()),
            "difference": asdict(difference),
            "ratio": asdict(ratio) if ratio else None,
            "detected": int(now["detected"][others].sum()),
            "false_alarms": int(now["false_alarm"][others].sum()),
        }
    weights = _weights(plan, pairs, plan.total)
    difference, ratio = combined(pairs, weights, confidence)
    result["total"] = {
        "faults": sum(entry["faults"] for entry in result.values()),
        kind: [
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


def _accuracy(table: Rows, plan: Plan, images: int, confidence: float) -> Accuracy | None:
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
    pairs: dict[str, Pairs] = {}
    drops, whole = {}, table.whole(plan, images)
    for name in plan.structures:
        mine = {}
        for stratum, rows in table.parts(name, table.faults(name), plan).items():
            after = right[rows].reshape(-1, images)
            before = np.broadcast_to(golden, after.shape)
            if len(rows):
                mine[stratum] = _pair(plan, stratum, before, after, name in whole)
        if mine:
            drops[name] = -combined(mine, _weights(plan, mine), confidence)[0].value
            pairs |= mine
    change, _ = combined(pairs, _weights(plan, pairs, plan.total), confidence)
    return Accuracy(
        golden=int(golden.sum()),
        images=images,
        drop={"value": -change.value, "low": -change.high, "high": -change.low},
        drop_by_structure=drops,
    )


def _pair(plan: Plan | Drawn, stratum: str, before: NDArray, after: NDArray, whole: bool) -> Pairs:
    """Failures of a stratum's faults, twice; where none can fail nothing is estimated."""
    idle = plan.division is not None and plan.division.unused(stratum)
    return Pairs(before, after, whole or (idle and bool((before == after).all())))


def _weights(plan: Plan | Drawn, strata: Iterable[str], total: int = 0) -> dict[str, float]:
    """Shares of strata in so many faults, or in their own."""
    sizes = {name: plan.sizes[name] for name in strata}
    whole = total or sum(sizes.values())
    return {name: size / whole for name, size in sizes.items()}
