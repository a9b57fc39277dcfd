"""A summary: what its JSON holds, that it is read back, and what is none."""

import pytest

from holdfast.fault.results.record import Accuracy, Audit, Group, StructureSummary, Summary

SHARE = {"value": 0.5, "low": 0.25, "high": 0.75}
SHARES = {"sdc1": SHARE, "avf": SHARE}
PLAIN = {
    "population": 1000, "cycles": 10, "bits": 100, "faults": 4, "images": 2,
    "structures": {"weight": {"bits": 100, "faults": 4, "counts": {"sdc1": 4}, "shares": SHARES}},
    "total": SHARES,
}  # fmt: skip


def test_an_earlier_versions_json_is_read():
    found = Summary.from_json(PLAIN | {"of_a_later_version": 1})
    assert found.structures["weight"] == StructureSummary(100, 4, {"sdc1": 4}, SHARES)
    assert found.worst == [] and found.accuracy is None and found.fit is None
    assert found.audit == Audit(0, 0, [])


def test_what_is_written_is_read_back():
    more = {
        "layers": {"stem": {"faults": 8, "avf": SHARE, "sdc1": SHARE}},
        "accuracy": {"golden": 1, "images": 2, "drop": SHARE, "drop_by_structure": {"weight": 1}},
        "fit": {"per_megabit": {"memory": 2.5}},
        "settings": {"model": {"bits": 1}},
    }
    found = Summary.from_json(PLAIN | more)
    assert found.layers == {"stem": Group(8, SHARE, SHARE)}
    assert found.accuracy == Accuracy(1, 2, SHARE, {"weight": 1})
    plain = found.to_json()
    assert plain.items() >= more.items() and Summary.from_json(plain) == found
    assert "fit" not in Summary.from_json(PLAIN).to_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": 0}, "images is no such value"),
        ({"faults": -1}, "faults is no such value"),
        ({"faults": True}, "Expected `int`, got `bool`"),
        ({"faults": "4"}, "Expected `int`, got `str`"),
        ({"total": {"sdc1": SHARE}}, "avf"),
        ({"total": SHARES | {"avf": SHARE | {"low": 0.6}}}, "no interval from 0 to 1"),
        ({"total": SHARES | {"avf": SHARE | {"high": 1.1}}}, "no interval from 0 to 1"),
        ({"total": SHARES | {"avf": SHARE | {"value": float("nan")}}}, "no interval from 0 to 1"),
        ({"structures": {"weight": {}}}, "missing required field"),
        ({"structures": []}, "Expected `object`, got `array`"),
    ],
)
def test_what_is_no_summary_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Summary.from_json(PLAIN | change)
