"""The recommendation against its definition."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.base.errors import HoldfastError
from holdfast.explore.recommend import Budget, recommend
from holdfast.gen.config import AcceleratorConfig
from tests.base.living import IMPORTABLE

ROOT = Path(__file__).parents[2]


def point(name, cycles, lut, low=None, high=None):
    return {
        "name": name,
        "cycles": cycles,
        "area": {"ecp5": {"lut": lut}, "xc7": {"lut": lut // 2}},
        "accuracy": None
        if low is None
        else {"sets": [{"percent": low + 1, "low": low, "high": low + 2}]},
        "campaign": None
        if high is None
        else {"all": {"total": {"sdc1": {"value": high / 2, "low": 0, "high": high}}}},
    }


POINTS = st.lists(
    st.builds(
        point,
        st.text("abc", max_size=2),
        st.integers(1, 9),
        st.integers(1, 9),
        st.none() | st.integers(0, 99),
        st.none() | st.floats(0, 1),
    ),
    min_size=1,
    max_size=10,
)
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "lut": st.integers(1, 9),
        "accuracy": st.integers(0, 99),
        "sdc1": st.floats(0, 1),
        "cycles": st.integers(1, 9),
    },
)


def keeps(p, limits):
    if p["area"]["ecp5"]["lut"] > limits.get("lut", math.inf):
        return False
    if p["cycles"] > limits.get("cycles", math.inf):
        return False
    if "accuracy" in limits and (
        p["accuracy"] is None or p["accuracy"]["sets"][0]["low"] < limits["accuracy"]
    ):
        return False
    return "sdc1" not in limits or (
        p["campaign"] is not None
        and p["campaign"]["all"]["total"]["sdc1"]["high"] <= limits["sdc1"]
    )


@given(POINTS, LIMITS)
def test_the_fastest_point_that_keeps_the_budget(points, limits):
    found = recommend(points, Budget(limits))
    assert sorted(id(c.point) for c in found) == sorted(id(p) for p in points)
    fitting = [p for p in points if keeps(p, limits)]
    assert [not c.misses for c in found] == [True] * len(fitting) + [False] * (
        len(points) - len(fitting)
    )
    if fitting:
        fastest = min((p["cycles"], p["area"]["ecp5"]["lut"]) for p in fitting)
        best = found[0].point
        assert (best["cycles"], best["area"]["ecp5"]["lut"]) == fastest


def test_the_interval_counts_not_the_value():
    # The value is 81 %, its lower end 80 %; SDC-1 is 1 %, its upper end 2 %.
    known = [point("a", 5, 100, 80, 0.02)]
    assert not recommend(known, Budget({"accuracy": 80, "sdc1": 0.02}))[0].misses
    assert list(recommend(known, Budget({"accuracy": 80.5}))[0].misses) == ["accuracy"]
    assert list(recommend(known, Budget({"sdc1": 0.015}))[0].misses) == ["sdc1"]


def test_the_nearest_miss_comes_first():
    known = [point("far", 1, 200), point("near", 9, 110), point("both", 1, 101, 10)]
    found = recommend(known, Budget({"lut": 100}))
    assert [c.point["name"] for c in found] == ["both", "near", "far"]
    assert [c.misses["lut"] for c in found] == pytest.approx([0.01, 0.1, 1.0])
    found = recommend(known, Budget({"lut": 105, "accuracy": 20}))
    # One limit missed is nearer than two, and what was not measured is infinitely far.
    assert found[0].point["name"] == "both"
    assert [c.misses["accuracy"] for c in found] == [0.5, math.inf, math.inf]


def test_another_target():
    known = [point("a", 1, 10), point("b", 2, 4)]
    assert recommend(known, Budget({"lut": 5}, "xc7"))[0].point["name"] == "a"
    assert recommend(known, Budget({"lut": 5}))[0].point["name"] == "b"
    with pytest.raises(HoldfastError, match=r"target 'ice40' was not explored; explored were ecp5"):
        recommend(known, Budget(target="ice40"))


def test_files_are_utf8_in_any_locale(tmp_path):
    """A terminal without the characters gets escape sequences, the file gets the characters."""
    found = point("é[/x] 8x8 off", 5, 7) | {
        "file": "/tmp/\u00e9\u25c0.safetensors",
        "guard": "off",
        "config": AcceleratorConfig().__dict__,
    }
    summary = {"format": 1, "points": [found]}
    (tmp_path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "holdfast.explore",
            "recommend",
            "--max-lut",
            "9",
            "--output",
            tmp_path,
        ],
        env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONPATH": IMPORTABLE},
        cwd=tmp_path,
        capture_output=True,
    )
    assert result.returncode == 0, result.stderr
    assert b"\\xe9[/x] 8x8 off: least latency" in result.stdout
    written = (tmp_path / "recommended.toml").read_text(encoding="utf-8")
    assert "# Network /tmp/\u00e9\u25c0.safetensors, guard off." in written
