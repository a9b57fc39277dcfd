"""Failure rates as a table, CSV and JSON files, and a section of a report."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

from rich.table import Table

from holdfast.base.files import write_atomically
from holdfast.base.page import Cell, render, share
from holdfast.base.statistics import Estimate
from holdfast.base.table import plain_table

from .environment import Environment
from .rates import FailureRates, Rate

_SHOWN = {"raw": "upsets", "sdc1": "SDC-1", "stopped": "stopped", "hang": "hang", "avf": "AVF",
          "latent": "latent"}  # fmt: skip
_HEADINGS = ("fit", "fit_low", "fit_high", "mtbf_hours", "mtbf_hours_low", "mtbf_hours_high")
METRICS = {"spfm": "single-point fault metric (SPFM)", "lfm": "latent fault metric (LFM)",
           "dc": "diagnostic coverage (DC)"}  # fmt: skip


def rates_tables(rates: FailureRates) -> list[Table]:
    """Rates in FIT by structure, and those of the whole with limits and hours between failures."""
    names = list(_SHOWN.values())
    table = plain_table("Failures in 1e9 hours (FIT)", "structure", *(f" {n}" for n in names))
    for name, found in rates.units.items():
        if name == "total":
            table.add_section()
        table.add_row(name, *(_short(found[kind].fit, 2) for kind in _SHOWN))
    headings = ("FIT", f"limits, {rates.confidence:.6g}", "hours between")
    title = "Of the part that was injected" if rates.part else "Of the whole accelerator"
    total = plain_table(title, "effect", *headings, gap=1)
    for kind, name in _SHOWN.items():
        rate = rates.units["total"][kind]
        total.add_row(name, _short(rate.fit), f"{_short(rate.low)} to {_short(rate.high)}",
                      _short(rate.hours))  # fmt: skip
    return [table, total]


def metrics_sentence(rates: FailureRates) -> str:
    """Returns the metrics of the worksheet, with their limits."""
    parts = [f"{kind.upper()} {_metric(found)}" for kind, found in vars(rates.worksheet).items()]
    only = f" All of it only of {rates.part}." if rates.part else ""
    return f"Safety worksheet (ISO 26262-5, annex C): {', '.join(parts)}.{only}"


def files(rates: FailureRates) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files beside a report."""
    plain = {"format": 1, **asdict(rates)}
    yield "failure_rates.json", json.dumps(plain, indent=1, allow_nan=False).encode()
    rows: list[tuple[Any, ...]] = [("unit", "effect", *_HEADINGS)]
    for unit, found in rates.units.items():
        rows += [(unit, effect, *_row(rate)) for effect, rate in found.items()]
    yield "failure_rates.csv", _csv(rows)
    sheet: list[tuple[Any, ...]] = [("quantity", "value", "low", "high")]
    total = rates.units["total"]
    for kind in ("raw", "residual", "covered", "latent_fault"):
        sheet.append((f"{kind}_fit", total[kind].fit, total[kind].low, total[kind].high))
    for kind, found in vars(rates.worksheet).items():
        sheet.append((kind, *(astuple(found) if found else ("", "", ""))))
    yield "safety_worksheet.csv", _csv(sheet)


def write_rates(rates: FailureRates, folder: Path, title: str) -> None:
    """Writes the files, and a page with the section alone."""
    for name, content in files(rates):
        write_atomically(folder / name, content)
    page = render("fault/results/rates_page.html", title=title, rates=section(rates))
    write_atomically(folder / "failure_rates.html", page.encode())


def section(rates: FailureRates) -> dict[str, Any]:
    """Returns what the section of a report shows."""
    total = rates.units["total"]
    return {
        "environment": _described(rates.environment),
        "source": rates.environment.source,
        "part": rates.part,
        "covered": ", ".join(rates.environment.covered) or "none",
        "confidence": f"{rates.confidence:.6g}",
        "headings": [f"{name}, FIT" for name in _SHOWN.values()],
        "rows": [[name, *(_cell(found[kind]) for kind in _SHOWN)]
                 for name, found in rates.units.items() if name != "total"],
        "total": ["total", *(_cell(total[kind]) for kind in _SHOWN)],
        "hours": ["hours between failures", *(_hours(total[kind]) for kind in _SHOWN)],
        "sheet": [[METRICS[kind], share(asdict(found)) if found else Cell("-", key=-1)]
                  for kind, found in vars(rates.worksheet).items()],
        "parts": [[kind.replace("_", " "), _cell(total[kind])]
                  for kind in ("residual", "covered", "latent_fault")],
    }  # fmt: skip


def _described(environment: Environment) -> str:
    rates = ", ".join(f"{kind} {rate:g}" for kind, rate in environment.rates.items())
    flux = "" if environment.flux is None else f", flux {environment.flux:g} per cm2 and hour"
    return f"{rates} {environment.unit}{flux}"


def _row(rate: Rate) -> tuple[Any, ...]:
    return tuple("" if value is None else value for value in astuple(rate))


def _csv(rows: list[tuple[Any, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _cell(rate: Rate) -> Cell:
    return Cell(_short(rate.fit), f"{_short(rate.low)} to {_short(rate.high)}", rate.fit)


def _hours(rate: Rate) -> Cell:
    note = f"{_short(rate.hours_low)} to {_short(rate.hours_high)}"
    return Cell(_short(rate.hours), note, rate.hours)


def _short(value: float | None, digits: int = 3) -> str:
    return "endless" if value is None else f"{value:.{digits}g}"


def _metric(found: Estimate | None) -> str:
    if found is None:
        return "-"
    return f"{found.value:.2%} ({found.low:.2%} to {found.high:.2%})"
