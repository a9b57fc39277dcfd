"""Tables of the terminal, character by character."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from holdfast.base.statistics import Estimate
from holdfast.fault.injection.observation import Divergence
from holdfast.fault.results.layers import Row
from holdfast.fault.results.record import Summary
from holdfast.fault.results.tables import (
    compact,
    divergence_table,
    effects_table,
    fault_table,
    independent_table,
    interval,
    pairs_sentence,
    pairs_table,
    percent,
    ratio,
)


def shown(table):
    """A table's lines, as a terminal of 100 columns has them."""
    stream = io.StringIO()
    Console(file=stream, width=100).print(table)
    return [line.rstrip() for line in stream.getvalue().rstrip().splitlines()]


def lines(text):
    return [line.removeprefix("    ") for line in text.strip("\n").rstrip().splitlines()]


def share(value, low, high):
    return {"value": value, "low": low, "high": high}


COUNTS = {"masked": 14, "latent": 3, "benign": 2, "sdc1": 1, "stopped": 0, "hang": 0,
          "detected": 5}  # fmt: skip
SHARES = {
    "masked": share(0.7, 0.6, 0.8),
    "latent": share(0.15, 0.1, 0.2),
    "benign": share(0.1, 0.05, 0.2),
    "sdc1": share(0.05, 0.0123, 0.2487),
    "stopped": share(0, 0, 0.1),
    "hang": share(0, 0, 0.1),
}


def test_effects_in_layers():
    rows = [
        Row("weight_memory", 2_359_296, 10**9, 20, COUNTS, {"sdc1": Estimate(0.05, 0.0013, 0.249)}),
        Row("total", 2_360_000, 10**10, 20, COUNTS, {"sdc1": Estimate(0.0499, 0.001, 0.25)}),
    ]
    assert shown(fault_table(rows, "Upsets\nguard on (bound)")) == lines("""
                                    Upsets
                               guard on (bound)

     structure      bits  n mask lat ben SDC1 stop hang flag SDC1 %, 95 %
     ────────────────────────────────────────────────────────────────────
     weight_memory 2.36M 20   14   3   2    1    0    0    5 5.0 0.1-24.9

     weighted      2.36M 20   14   3   2    1    0    0    5 5.0 0.1-25.0
""")


def test_effects_in_inferences():
    counts = {"masked": 1050, "latent": 225, "benign": 150, "sdc1": 75, "stopped": 0, "hang": 0}
    weight = {"bits": 1024, "faults": 1500, "counts": counts, "shares": SHARES}
    shares = SHARES | {"avf": SHARES["sdc1"]}
    summary = Summary.from_json(
        {
            "structures": {"weight": weight | {"shares": shares}}, "bits": 1024, "faults": 1500,
            "total": shares, "population": 10**6, "cycles": 977, "images": 1,
        }
    )  # fmt: skip
    assert shown(effects_table(summary, "off")) == lines("""
                Effects over the whole inference, guard off

     structure    bits    n  mask   lat   ben  SDC1  stop  hang  SDC1 %
     ──────────────────────────────────────────────────────────────────
     weight      1.02k 1.5k 1.05k   225   150    75     0     0  1.2-25

     weighted, % 1.02k 1.5k 70.00 15.00 10.00  5.00  0.00  0.00  1.2-25
""")


def test_the_same_faults_in_two_settings():
    weight = {"faults": 1500, "prevented": 12, "caused": 1, "ratio": share(0.5, 0.25, 0.9)}
    weight["difference"] = share(-0.0073, -0.01, 0.001)
    pairs = {"weight": weight, "total": weight | {"ratio": share(None, 2.584, None)}}
    assert shown(pairs_table("guard off", {"bound": pairs})) == lines("""
                  SDC-1 on the same faults, against guard off

     structure    n  prevented  caused      difference, %            ratio
     ─────────────────────────────────────────────────────────────────────
     bound
     weight    1.5k         12       1 -0.73 (-1.00-0.10) 0.50 (0.25-0.90)
     total     1.5k         12       1 -0.73 (-1.00-0.10)       above 2.58
""")


def test_faults_of_each_its_own():
    here = share(0.04, 0.02, 0.06)
    kinds = {
        "sdc1": {
            "weight": {
                "first": share(0.05, 0.01, 0.2), "second": here,
                "difference": share(-0.01, -0.1, 0.05),
            },
            "guard": {"first": None, "second": here, "difference": None},
        }
    }  # fmt: skip
    assert shown(independent_table("other", kinds)) == lines("""
                  Against other: faults of each its own, per cent

     share  structure              there              here           difference
     ──────────────────────────────────────────────────────────────────────────
     sdc1   weight     5.00 (1.00-20.00)  4.00 (2.00-6.00)  -1.00 (-10.00-5.00)
     sdc1   guard                      -  4.00 (2.00-6.00)                    -
""")


def test_registers_that_differ():
    entries = [
        Divergence("array__pe_0_1__product", 101, 0x1F, 0x5F),
        Divergence("first", 101, 0, 1),
    ]
    assert shown(divergence_table("First registers that differ", entries, later=6)) == lines("""
              First registers that differ

     cycle  register                golden  faulty
     ─────────────────────────────────────────────
     107    array__pe_0_1__product  0x1f    0x5f
     107    first                   0x0     0x1
""")


@pytest.mark.parametrize(
    ("off", "on", "sentence"),
    [
        # Clopper and Pearson's limits of 1 of 2 are 1 - sqrt(0.975) and its complement.
        (
            ["sdc1", "sdc1", "masked", "benign"], ["sdc1", "benign", "sdc1", "benign"],
            "Of 2 SDC-1 with the guard off, it prevents 1: 50.00% (1.26% to 98.74%); it causes 1.",
        ),
        (["masked", "hang"], ["sdc1", "hang"],
         "No SDC-1 among 2 faults with the guard off, 1 with it on."),
    ],
)  # fmt: skip
def test_what_the_guard_changed(off, on, sentence):
    results = [[SimpleNamespace(effect=effect) for effect in effects] for effects in (off, on)]
    assert pairs_sentence(*results) == sentence


def test_shares():
    assert interval(Estimate(0.05, 0.00126, 0.2)) == "5.00% (0.13% to 20.00%)"
    assert percent(share(0.05, 0.00126, 0.2)) == "5.00 (0.13-20.00)"
    assert ratio(None) == "-"
    assert ratio(share(None, 2.584, None)) == "above 2.58"
    assert ratio(share(1, 0.5, 2)) == "1.00 (0.50-2.00)"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1k"), (1094, "1.09k"), (999_499, "999k"), (999_500, "1M"),
     (2_359_296, "2.36M")],
)  # fmt: skip
def test_counts_have_at_most_five_characters(number, text):
    assert compact(number) == text
    assert len(text) <= 5
