"""Terminal tables of a fault run."""

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.table import Table

from .campaign import Row
from .effects import EFFECTS, FaultResult
from .statistics import Estimate, wilson

__all__ = ["compact", "fault_table", "interval", "pairs_sentence"]

_HEADINGS = {"masked": "mask", "latent": "lat", "benign": "ben", "sdc1": "SDC1", "stopped": "stop",
             "hang": "hang", "detected": "flag"}  # fmt: skip


def interval(estimate: Estimate) -> str:
    """Share and interval in per cent."""
    return f"{estimate.value:.2%} ({estimate.low:.2%} to {estimate.high:.2%})"


def fault_table(rows: Sequence[Row], title: str) -> Table:
    """Structure by effect; the share of SDC-1 in per cent with its 95 % interval.

    The last row's share is weighted by population.
    """
    table = Table(title=title, box=SIMPLE, pad_edge=False, padding=0)
    table.add_column("structure", no_wrap=True)
    for name in ("bits", "n", *(_HEADINGS[name] for name in (*EFFECTS, "detected"))):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("SDC1 %, 95 %", justify="right", no_wrap=True)
    for row in rows:
        total = row.structure == "total"
        if total:
            table.add_section()
        share = row.shares["sdc1"]
        table.add_row(
            "weighted" if total else row.structure,
            compact(row.bits),
            str(row.faults),
            *(str(row.counts[name]) for name in (*EFFECTS, "detected")),
            f"{share.value:.1%} {share.low:.1%}-{share.high:.1%}".replace("%", ""),
        )
    return table


def compact(number: int) -> str:
    """A count in at most five characters."""
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.3g}{unit}"
    return str(number)


def pairs_sentence(off: Sequence[FaultResult], on: Sequence[FaultResult]) -> str:
    """What the guard changed on the same faults."""
    bad_off = [result.effect == "sdc1" for result in off]
    bad_on = [result.effect == "sdc1" for result in on]
    prevented = sum(a and not b for a, b in zip(bad_off, bad_on, strict=True))
    caused = sum(b and not a for a, b in zip(bad_off, bad_on, strict=True))
    if not any(bad_off):
        return f"No SDC-1 among {len(off)} faults with the guard off, {sum(bad_on)} with it on."
    share = wilson(prevented, sum(bad_off))
    return (
        f"Of {sum(bad_off)} SDC-1 with the guard off, it prevents {prevented}: {interval(share)}; "
        f"it causes {caused}."
    )
