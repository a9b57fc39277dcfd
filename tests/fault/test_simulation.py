"""The main job as a function."""

import json
from contextlib import contextmanager

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.fault.model.space import STRUCTURES
from holdfast.fault.simulation import Setup, chosen_steps, simulate
from holdfast.nn.data.images import ImageSet
from holdfast.nn.graph.guard_modes import GUARD_ON
from holdfast.sim.compiled.build import build_compiled
from tests.fault.tiny import images, netlist, program


def test_layers_and_upsets_with_progress():
    codes = images()[:1]
    setup = Setup(program(), ImageSet("some", codes.numpy(), None), codes, GUARD_ON, seed=3)
    told, counted = [], {}

    @contextmanager
    def watch(what, total, rate):
        counted[what] = [total]
        yield lambda done, count=None: counted[what].append(done)

    found = simulate(
        setup, build_compiled(netlist()), chosen_steps(program(), ["b", "d"]), faults=1, pair=True,
        watch=watch, on_layers=told.append,
    )  # fmt: skip
    assert [run.name for run in found.runs] == ["b", "d"] and told == [found.runs]
    off, on = found.unguarded, found.upsets
    assert not found.mismatches
    # At least 20 in each structure, each with the guard off and on.
    # Nothing is protected here.
    structures = [name for name in STRUCTURES if name != "check"]
    count = 20 * len(structures)
    every = [count, *range(1, count + 1)]
    assert counted == {
        "Layers on RTL": [2, 1, 2], "Timing the layers": [4, 4],
        "Faults in RTL, guard off": every, "Faults in RTL": every,
    }  # fmt: skip
    assert [r.id for r in on.results] == [r.id for r in off.results]
    assert {r.layer for r in on.results} == set(on.cycles) == {"b", "d"}
    assert not any(result.detected for result in off.results)
    summary = json.loads(json.dumps(found.summary()))
    assert summary["engine"] == "fast" and summary["guard"] == "bound"
    assert [fault["id"] for fault in summary["faults"]] == [r.id for r in on.results]
    rows = summary["totals"]["faults"]
    assert [row["structure"] for row in rows["guard_off"]] == [*structures, "total"]
    assert len(rows["faults_guard_off"]) == count


def test_a_layer_that_is_not_there():
    assert chosen_steps(program(), []) == list(program().steps)
    with pytest.raises(HoldfastError, match=r"has no layer 'x'; it has a, b, d, logits\."):
        chosen_steps(program(), ["a", "x"])
