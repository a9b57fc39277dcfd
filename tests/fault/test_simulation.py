"""The main job as a function."""

import json

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.fault.model.space import STRUCTURES
from holdfast.fault.simulation import Setup, chosen_steps, simulate
from holdfast.nn.data.cifar import ImageSet
from holdfast.nn.graph.guard_modes import GUARD_ON
from holdfast.sim.compiled.build import build_compiled
from tests.fault.tiny import images, netlist, program


def test_layers_and_upsets_with_progress():
    codes = images()[:1]
    setup = Setup(program(), ImageSet("some", codes.numpy(), None), codes, GUARD_ON, seed=3)
    done, told, counted = [], [], []
    found = simulate(
        setup, build_compiled(netlist()), chosen_steps(program(), ["b", "d"]), faults=1, pair=True,
        on_layer=done.append, on_layers=told.append,
        on_fault=lambda n, total: counted.append((n, total)),
    )  # fmt: skip
    assert [run.name for run in done] == ["b", "d"] and told == [done] == [found.runs]
    assert not found.mismatches and found.upsets
    # At least 20 in each structure, each with the guard off and on.
    count = 20 * len(STRUCTURES)
    assert counted == [(n + 1, 2 * count) for n in range(2 * count)]
    assert len(found.upsets.results) == len(found.upsets.off) == count
    assert [r.id for r in found.upsets.results] == [r.id for r in found.upsets.off]
    assert {r.layer for r in found.upsets.results} == set(found.upsets.cycles) == {"b", "d"}
    assert not any(result.detected for result in found.upsets.off)
    summary = json.loads(json.dumps(found.summary()))
    assert summary["engine"] == "fast" and summary["guard"] == "bound"
    assert [fault["id"] for fault in summary["faults"]] == [r.id for r in found.upsets.results]
    rows = summary["totals"]["faults"]
    assert [row["structure"] for row in rows["guard_off"]] == [*STRUCTURES, "total"]
    assert len(rows["faults_guard_off"]) == count


def test_a_layer_that_is_not_there():
    assert chosen_steps(program(), []) == program().steps
    with pytest.raises(HoldfastError, match=r"has no layer 'x'; it has a, b, d, logits\."):
        chosen_steps(program(), ["a", "x"])
