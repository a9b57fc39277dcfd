"""The compiled engine observes what cocotb observes, fault by fault."""

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.fault.injection.layerwise import inject, layer_cycles, observe
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import FaultSpace, Site
from holdfast.fault.sampling.sample import sample
from holdfast.gen.layout import DESCRIPTOR_STRIDE
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARD_ON
from holdfast.sim.compiled.build import build_compiled
from tests.fault.tiny import build, images, netlist, program


@pytest.fixture(scope="module")
def cycles():
    return layer_cycles(build(), program(), images()[:1])


def observations(engine, faults, guard):
    golden = guard.golden(program().graph)
    references = {n: golden.run(images()[n : n + 1]) for n in range(2)}
    runs = list(observe(engine, program(), references, faults, guard))
    for run in runs:
        # The compiled engine has no simulation time.
        run.golden.begin = 0
        run.golden.banks = run.golden.banks.tolist()
    return runs


def test_cycles_of_the_layers(cycles):
    assert layer_cycles(build_compiled(netlist()), program(), images()[:1]) == cycles


@pytest.mark.parametrize("guard", [GUARD_OFF, GUARD_ON], ids=["off", "on"])
def test_same_observations_in_every_structure(cycles, guard):
    space = FaultSpace.of(netlist())
    faults = sample(space, cycles, images=2, count=0, minimum=5, seed=7)
    # Where a run breaks, and where watching lasts beyond its end.
    faults += sample(space, cycles, images=2, counts={"sequencer": 15, "host": 15}, seed=8)
    faults += [
        Fault((Site(name, None, 0),), cycle, layer="b")
        for name in ("axi__fsm_state", "sequencer__fsm_state", "control_interrupt", "ready")
        for cycle in (0, 300, cycles["b"] - 1)
    ]
    faults += [
        Fault((Site("descriptors", DESCRIPTOR_STRIDE, bit),), 0, layer="b", image=1)
        for bit in range(8)
    ]
    expected = observations(build(), faults, guard)
    found = observations(build_compiled(netlist()), faults, guard)
    for left, right in zip(expected, found, strict=True):
        assert left.golden == right.golden
        for wanted, seen in zip(left.observations, right.observations, strict=True):
            assert seen == wanted
    everything = [o for runs in expected for o in runs.observations]
    assert any(not o.ending.ended for o in everything) and any(o.ending.status for o in everything)
    assert any(o.memories for o in everything) and any(o.flip_flops for o in everything)


def test_same_observations_of_flips_before_the_start():
    faults = [
        Fault((Site(ff.name, None, ff.width - 1),), -1, layer="d") for ff in netlist().flip_flops
    ]
    expected = observations(build(), faults, GUARD_OFF)
    assert observations(build_compiled(netlist()), faults, GUARD_OFF) == expected


def test_a_fault_beyond_the_layer(cycles):
    beyond = Fault((Site("first", None, 0),), cycles["b"], layer="b")
    with pytest.raises(HoldfastError, match=f"which has cycles 0 to {cycles['b'] - 1}"):
        inject(build_compiled(netlist()), program(), images(), [beyond])
