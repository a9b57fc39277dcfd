"""Failure rates of a campaign that has ended, in an environment; nothing is computed again."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from holdfast.base import options
from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.files import make_room
from holdfast.base.text import printable
from holdfast.fault.campaign.prior import PriorCampaign
from holdfast.fault.results.environment import Environment
from holdfast.fault.results.rates import failure_rates
from holdfast.fault.results.rates_files import metrics_sentence, rates_tables, write_rates
from holdfast.fault.results.tables import audit
from holdfast.nn import options as shared

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(epilog="Example: holdfast rates build/campaign/mine --environment sea_level.toml")
@options.grouped({shared.RESULTS: "environment output"})
def rates(
    folder: Annotated[Path, options.path("Campaign that has ended.", typer.Argument)],
    environment: Annotated[Path, options.path("TOML file with upset rates and their source.")],
    output: Annotated[
        Path | None, options.path("Folder for the files; by default that of the campaign.")
    ] = None,
) -> int:
    """Turn a finished campaign into failures in time, and the metrics of a safety worksheet."""
    given = Environment.read(environment)
    ended = PriorCampaign.load(folder)
    tables = [ended.table(path) for path in ended.shards()]
    found = failure_rates(given, tables, ended.summary, ended.manifest.whole)
    place = output or folder
    make_room(place / "failure_rates.json")
    name = f"{ended.manifest.name} on {ended.manifest.accelerator}"
    write_rates(found, place, f"Failure rates: {name}")
    for table in rates_tables(found):
        console.print(table)
    console.print(metrics_sentence(found))
    console.print(f"{printable(place / 'failure_rates.html')}, .json and .csv written.")
    console.print(audit(ended.summary.audit))
    return 1 if ended.summary.audit.disagreements else 0


if __name__ == "__main__":
    sys.exit(run(app))
