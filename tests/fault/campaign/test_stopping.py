"""When a campaign looks at its interval, and with which confidence."""

import json

import pytest
from scipy import stats

from holdfast.base.statistics import Sample
from holdfast.fault.campaign.stopping import next_look, raised
from tests.fault.test_main import command, files, shards  # noqa: F401


def test_intervals_are_of_a_higher_confidence():
    assert raised(0.95) == pytest.approx(0.97) and raised(0.5) == pytest.approx(0.7)


def width(failures, faults):
    """Half of Clopper and Pearson's interval of 97 %."""
    found = stats.binomtest(failures, faults).proportion_ci(0.97, "exact")
    return (found.high - found.low) / 2


def test_the_next_look_is_where_the_interval_will_be_narrow_enough():
    samples, counts = {"a": Sample.counted(10, 100)}, {"a": 100_000}
    look = next_look(samples, {"a": 1}, counts, 100, 1, 0.02, 0.97)
    assert width(10 * look, 100 * look) <= 0.02 < width(10 * (look - 1), 100 * (look - 1))
    assert next_look(samples, {"a": 1}, counts, 100, 1, 0.5, 0.97) == 2
    assert next_look(samples, {"a": 1}, counts, 100, 1, 1e-9, 0.97) == 1000


def test_what_is_known_or_drawn_adds_nothing():
    samples = {"a": Sample.counted(10, 100), "b": Sample.counted(5, 10, whole=True),
               "c": Sample.counted(1, 20)}  # fmt: skip
    counts, sizes = {"a": 400, "b": 10, "c": 20}, {"a": 1, "b": 98, "c": 1}
    assert next_look(samples, sizes, counts, 100, 1, 1e-9, 0.97) == 4


def test_a_campaign_stops_early_and_goes_on_alike(files, command):  # noqa: F811
    plan = ("--processes", "1", "--minimum", "0", "--faults", "2000", "--unit", "100", "--audit",
            "0", "--structures", "weight,skew", "--metric", "avf")  # fmt: skip
    assert command(*plan, "--stop-at", "12%")[0] == 0
    summary = json.loads((files.store / "summary.json").read_text())
    share = summary["total"]["avf"]
    assert (share["high"] - share["low"]) / 2 <= 0.12 and summary["faults"] < 1000
    assert summary["confidence"] == 0.95 and summary["level"] == pytest.approx(0.97)
    first = shards(files.store)
    assert command(*plan, "--stop-at", "12%")[0] == 0
    assert shards(files.store) == first
    # A narrower interval continues it.
    assert command(*plan, "--stop-at", "4%")[0] == 0
    assert first.items() < shards(files.store).items()
    narrow = json.loads((files.store / "summary.json").read_text())["total"]["avf"]
    assert (narrow["high"] - narrow["low"]) / 2 <= 0.04
