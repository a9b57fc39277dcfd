"""Terminal tables of a fault run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from holdfast.base.console import marked
from holdfast.base.statistics import Estimate, Sample, share
from holdfast.base.table import plain_table
from holdfast.fault.injection.observation import Divergence
from holdfast.fault.outcome.classify import FaultResult
from holdfast.fault.outcome.effects import EFFECTS

from .layers import Row
from .record import Audit, Sampling, Summary

_HEADINGS = {"masked": "mask", "latent": "lat", "benign": "ben", "sdc1": "SDC1", "stopped": "stop",
             "hang": "hang", "detected": "flag"}  # fmt: skip


def interval(estimate: Estimate) -> str:
    """Returns the share and interval in per cent."""
    return f"{estimate.value:.2%} ({estimate.low:.2%} to {estimate.high:.2%})"


def fault_table(rows: Sequence[Row], title: str) -> Table:
    """Returns a table of structures by effect; the share of SDC-1 in per cent with its 95 %
    interval.

    The last row's share is weighted by population.
    """
    headings = [_HEADINGS[name] for name in (*EFFECTS, "detected")]
    table = plain_table(title, "structure", "bits", "n", *headings, "SDC1 %, 95 %")
    for row in rows:
        total = row.structure == "total"
        if total:
            table.add_section()
        sdc1 = row.shares["sdc1"]
        table.add_row(
            "weighted" if total else row.structure,
            compact(row.bits),
            str(row.faults),
            *(str(row.counts[name]) for name in (*EFFECTS, "detected")),
            f"{sdc1.value:.1%} {sdc1.low:.1%}-{sdc1.high:.1%}".replace("%", ""),
        )
    return table


def compact(number: int) -> str:
    """Returns a count in at most five characters."""
    # From here on three digits would be a thousand.
    if number >= 999_500:
        return f"{number / 1e6:.3g}M"
    return f"{number / 1e3:.3g}k" if number >= 1000 else str(number)


def pairs_sentence(off: Sequence[FaultResult], on: Sequence[FaultResult]) -> str:
    """Returns what the guard changed on the same faults."""
    bad_off = [result.effect == "sdc1" for result in off]
    bad_on = [result.effect == "sdc1" for result in on]
    prevented = sum(a and not b for a, b in zip(bad_off, bad_on, strict=True))
    caused = sum(b and not a for a, b in zip(bad_off, bad_on, strict=True))
    if not any(bad_off):
        return f"No SDC-1 among {len(off)} faults with the guard off, {sum(bad_on)} with it on."
    found = share(Sample.counted(prevented, sum(bad_off)))
    return (
        f"Of {sum(bad_off)} SDC-1 with the guard off, it prevents {prevented}: {interval(found)}; "
        f"it causes {caused}."
    )


def effects_table(summary: Summary, guard: str) -> Table:
    """Tabulates structures by effect over whole inferences, as `summary.summarize` finds them."""
    headings = ("bits", "n", *(_HEADINGS[name] for name in EFFECTS), "SDC1 %")
    title = f"Effects over the whole inference, guard {guard}"
    table = plain_table(title, "structure", *(f" {name}" for name in headings))
    for name, entry in summary.structures.items():
        table.add_row(
            name, compact(entry.bits), compact(entry.faults),
            *(compact(entry.counts[effect]) for effect in EFFECTS),
            _range(entry.shares["sdc1"]),
        )  # fmt: skip
    table.add_section()
    total = summary.total
    table.add_row(
        "weighted, %", compact(summary.bits), compact(summary.faults),
        *(f"{100 * total[effect]['value']:.2f}" for effect in EFFECTS),
        _range(total["sdc1"]),
    )  # fmt: skip
    return table


def pairs_table(first: str, pairs: Mapping[str, Mapping[str, Any]]) -> Table:
    """Comparisons with the first setting, from `fault.results.summary.compare` by the second."""
    headings = (" n", " prevented", " caused", " difference, %", " ratio")
    table = plain_table(f"SDC-1 on the same faults, against {first}", "structure", *headings)
    for second, entries in pairs.items():
        table.add_row(marked((second, "bold")))
        for name, entry in entries.items():
            table.add_row(
                name, compact(entry["faults"]), str(entry["prevented"]), str(entry["caused"]),
                percent(entry["difference"]), ratio(entry["ratio"]),
            )  # fmt: skip
        table.add_section()
    return table


def independent_table(name: str, kinds: Mapping[str, Mapping[str, Any]]) -> Table:
    """Tabulates campaigns with faults of their own, as `base.paired.independent` by kind."""
    table = plain_table(
        f"Against {name}: faults of each its own, per cent",
        "share", "structure", "there", "here", "difference", left=("structure",), gap=1,
    )  # fmt: skip
    for kind, entries in kinds.items():
        for structure, entry in entries.items():
            shares = [entry["first"], entry["second"], entry["difference"]]
            table.add_row(kind, structure, *(percent(s) if s else "-" for s in shares))
    return table


def divergence_table(title: str, entries: Iterable[Divergence], later: int = 0) -> Table:
    """Registers and both values, with the cycle counted from so many cycles before the layer's."""
    columns = ("register", "golden", "faulty")
    table = plain_table(title, "cycle", *columns, left=columns, gap=1)
    for entry in entries:
        cycle = str(entry.cycle + later)
        table.add_row(cycle, entry.signal, f"{entry.golden:#x}", f"{entry.faulty:#x}")
    return table


def audit(found: Audit) -> Text:
    """Says what plain RTL makes of a campaign, and the first faults that it disagrees with."""
    wrong = ((f"\n{fault}: plain RTL disagrees.", "bold red") for fault in found.faults)
    told = f"Audit: {found.checked} faults again by plain RTL, {found.disagreements} disagreements."
    return marked(told, *wrong)


def precision(sampling: Sampling) -> str:
    """Says how exact a campaign is whose draws a pilot decided."""
    parts = []
    for kind, name in (("sdc1", "SDC-1"), ("avf", "AVF")):
        found = sampling.precision[kind]
        many = found.effective_faults
        worth = f"as exact as {many:,.0f} faults in proportion" if many else "no failure seen"
        parts.append(f"{name} has a variance of {found.variance:.2g}, {worth}")
    return f"A pilot decided the draws, in {len(sampling.strata)} strata: {'; '.join(parts)}."


def ratio(estimate: Mapping[str, Any] | None) -> str:
    """Returns a ratio and its interval, or a dash; the lower limit alone if it has no upper one."""
    if estimate is None:
        return "-"
    if estimate["high"] is None:
        return f"above {estimate['low']:.2f}"
    return "{value:.2f} ({low:.2f}-{high:.2f})".format(**estimate)


def percent(share: Mapping[str, float]) -> str:
    """Returns the share and interval of a summary in per cent, without the sign."""
    low, value, high = (100 * share[name] for name in ("low", "value", "high"))
    return f"{value:.2f} ({low:.2f}-{high:.2f})"


def _range(share: Mapping[str, float]) -> str:
    """Interval in per cent."""
    return f" {100 * share['low']:.2g}-{100 * share['high']:.2g}"
