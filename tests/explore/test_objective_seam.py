"""A made-up objective, in this file alone: energy per inference, from area times cycles.

It shows in the points, on the front, in the terminal, in the options of `recommend` and in the
report.
"""

import importlib
import json
from dataclasses import dataclass
from typing import ClassVar

import pytest

import holdfast.explore.__main__ as command
from holdfast.base.command import run
from holdfast.base.statistics import Estimate
from holdfast.explore.objectives.base import Objective
from holdfast.explore.objectives.registry import OBJECTIVES
from tests.explore.tiny import write_study

SWITCHED = 2e-9
"""Microjoules of a look-up table and cycle, which is made up as well."""


@dataclass(frozen=True)
class Switching:
    """A measurement of its own."""

    target: str
    kind: ClassVar[str] = "switching"

    def subject(self):
        return {"target": self.target}

    def version(self):
        return "1"

    def run(self):
        return {"microjoules": SWITCHED}


class Energy(Objective):
    name = limit = "energy"
    title = "energy per inference"
    heading = "energy"
    unit = "nJ"
    scale = 1000
    exact = True
    bounds = (0, 1e9)

    def measurements(self, request):
        return {"switching": Switching(request.study.targets[0])}

    def facts(self, request, results):
        return {"switched": results["switching"]["microjoules"]}

    def value(self, point, target=""):
        area = point["area"]
        lut = area[target or next(iter(area))]["lut"]
        return Estimate(*3 * [lut * point["cycles"] * point["switched"]])


@pytest.fixture
def energy(monkeypatch):
    monkeypatch.setitem(OBJECTIVES, "energy", Energy())
    importlib.reload(command)
    yield
    monkeypatch.undo()
    importlib.reload(command)


def call(monkeypatch, capfd, *words):
    monkeypatch.setattr("sys.argv", ["explore", *words])
    code = run(command.app)
    told = capfd.readouterr()
    return code, " ".join(told.out.split()), " ".join(told.err.split())


def test_energy(energy, monkeypatch, capfd, tmp_path):
    monkeypatch.delenv("HOLDFAST_DATA", raising=False)
    monkeypatch.setattr("holdfast.nn.data.cifar._SHARED", tmp_path / "absent")
    monkeypatch.setattr(
        "holdfast.explore.measurements.area.AreaMeasurement.run",
        # The faster array is that much larger that it takes more energy.
        lambda self: {"lut": 900 if self.config.cols > 1 else 100, "ff": 1, "dsp": 1, "mem": 1},
    )
    out = str(tmp_path / "out")
    code, told, complaint = call(
        monkeypatch, capfd, "--study", str(write_study(tmp_path)), "--arrays", "2x1,2x2",
        "--guards", "off", "--faults", "0", "--model-images", "2", "--jobs", "1",
        "--output", out, "--cache", str(tmp_path / "cache"),
    )  # fmt: skip
    assert code == 0, complaint
    summary = json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    assert summary["front_of"] == ["lut", "cycles", "energy"]
    assert list((tmp_path / "cache/switching").glob("*.json"))
    found = {}
    for point, lut in zip(summary["points"], (100, 900), strict=True):
        assert point["switched"] == SWITCHED
        found[point["name"]] = 1000 * SWITCHED * lut * point["cycles"]
        assert f"{found[point['name']]:.4g}" in told
    assert " energy " in told
    best, worst = sorted(found, key=found.__getitem__)
    assert worst == "small 2x2 off"

    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    for text in ("look-up tables against", "cycles against"):
        assert f"{text} energy per inference, nJ" in page
    assert f"{found[worst]:.4g}" in page

    limit = ("recommend", "--output", out, "--max-energy")
    code, told, _ = call(monkeypatch, capfd, *limit, str((found[best] + found[worst]) / 2000))
    assert code == 0 and f"{best}: least latency" in told and "of 1 among 2 points" in told
    assert f"{found[best]:.4g} nJ energy per inference" in told
    code, told, complaint = call(monkeypatch, capfd, *limit, str(found[best] / 2000))
    assert code == 2 and f"which misses energy per inference with {found[best]:.4g} of" in complaint
    code, _, complaint = call(monkeypatch, capfd, *limit, "-1")
    assert code == 2 and complaint == "--max-energy must be 0 to 1,000,000,000, not -1.0."
    assert call(monkeypatch, capfd, "recommend", "--output", out)[2].endswith(
        "--max-lut, --max-cycles or --max-energy."
    )
