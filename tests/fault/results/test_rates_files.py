"""Failure rates on paper: no number is lost between the rates and the files."""

import csv
import json

from rich.console import Console

from holdfast.fault.results.rates import failure_rates
from holdfast.fault.results.rates_files import files, metrics_sentence, rates_tables, write_rates
from tests.fault.results.test_rates import ENVIRONMENT, SUMMARY, TABLES


def test_files_hold_what_was_computed(tmp_path):
    rates = failure_rates(ENVIRONMENT, TABLES, SUMMARY)
    content = {name: text.decode() for name, text in files(rates)}
    plain = json.loads(content["failure_rates.json"])
    assert plain["environment"]["source"] == "by hand" and plain["confidence"] == 0.95
    assert plain["worksheet"]["spfm"]["value"] == rates.worksheet.spfm.value
    sheet = {row["quantity"]: row for row in
             csv.DictReader(content["safety_worksheet.csv"].splitlines())}  # fmt: skip
    assert float(sheet["residual_fit"]["value"]) == rates.units["total"]["residual"].fit
    assert float(sheet["dc"]["high"]) == rates.worksheet.dc.high
    write_rates(rates, tmp_path, "Rates of <tiny>")
    assert {path.name for path in tmp_path.iterdir()} == {*content, "failure_rates.html"}
    assert "Rates of &lt;tiny&gt;" in (tmp_path / "failure_rates.html").read_text()


def test_tables_fit_a_terminal():
    rates = failure_rates(ENVIRONMENT, TABLES, SUMMARY)
    console = Console(width=80, record=True, file=open("/dev/null", "w"))
    for table in rates_tables(rates):
        console.print(table)
    told = console.export_text()
    assert "…" not in told and "0.0697" in told and "weight_memory" in told
    # 66.79 % by hand, in test_rates.
    assert "SPFM 66.79%" in metrics_sentence(rates)
