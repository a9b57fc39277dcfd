"""The same layers on both engines: the same typed runs, told one by one."""

import json
from dataclasses import asdict, replace

import pytest

from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARDS
from holdfast.sim.compiled.build import build_compiled
from holdfast.sim.layer_runs import LayerRun
from holdfast.sim.layers import golden_run, run_layers
from tests.fault.tiny import build, images, netlist, program


@pytest.mark.parametrize("guard", [GUARD_OFF, GUARDS["bound"]], ids=["off", "bound"])
def test_both_engines_give_the_same_runs(guard):
    golden = golden_run(program(), images(), guard)
    told = []
    found = run_layers(build(), program(), golden, guard=guard, on_layer=told.append)
    assert told == found
    compiled = run_layers(build_compiled(netlist()), program(), golden, guard=guard)
    assert found == compiled
    names = [step.name for step in program().steps]
    assert [(run.image, run.name) for run in found] == [(i, n) for i in (0, 1) for n in names]
    assert not any(run.mismatches for run in found)


def test_only_some_steps_and_back_pressure():
    golden = golden_run(program(), images()[:1])
    steps = program().steps[1:3]
    runs = run_layers(build(), program(), golden, steps=steps, stall=0.5, seed=4)
    assert [run.name for run in runs] == [step.name for step in steps]
    free = run_layers(build_compiled(netlist()), program(), golden, steps=steps)
    # Resident weights: a run does not depend on the bus.
    assert runs == free


def test_a_wrong_code_is_a_mismatch_of_its_layer():
    golden = golden_run(program(), images()[:1])
    last = program().steps[-1]
    outputs = {name: codes.copy() for name, codes in golden.outputs.items()}
    outputs[last.target][0, 1] ^= 1
    runs = run_layers(build_compiled(netlist()), program(), replace(golden, outputs=outputs))
    assert [run.mismatches for run in runs] == [0] * (len(program().steps) - 1) + [1]


def test_a_run_passes_through_json():
    run = LayerRun(0, "a", (4, 2, 2), 10, 20, 16, 1, 2, 3, 0.5, {"stream": 4})
    assert LayerRun.from_json(json.loads(json.dumps(asdict(run)))) == run
