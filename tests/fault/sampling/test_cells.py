"""Cells: every fault is in one, and their populations are what counting finds."""

import numpy as np
import pytest

from holdfast.base.errors import HoldfastError
from holdfast.fault.model.models.stuck_at import StuckAtModel
from holdfast.fault.model.models.upset import UpsetModel
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.peers.shortcuts import Shortcuts
from holdfast.fault.sampling.plan import Plan
from holdfast.fault.sampling.sampler import Filters, Sampler
from holdfast.sim.machine.schedule import Schedule
from tests.fault.tiny import netlist, program


def plan_of(model=None, sampler=Sampler, **filters):
    space, schedule = FaultSpace.of(netlist()), Schedule(program())
    return Plan(space, schedule, model or UpsetModel(), Filters(**filters), sampler)


@pytest.mark.parametrize(
    ("structure", "filters", "bits"),
    [
        ("program_memory", {"phases": ("fetch", "drain")}, 1),
        ("program_memory", {"layers": ("b",), "phases": ("fetch",)}, 1),
        ("parameter_memory", {"layers": ("b", "d")}, 2),
        ("activation_memory", {"layers": ("d",), "phases": ("drain", "fetch")}, 1),
        ("skew", {"phases": ("stream",)}, 3),
        ("accumulators", {"layers": ("a",), "phases": ("fetch", "drain")}, 1),
    ],
)
def test_populations_are_what_counting_finds(structure, filters, bits):
    plan = plan_of(UpsetModel(bits), structures=(structure,), **filters)
    counted = np.zeros(len(plan.cells.population(structure)), np.int64)
    moments = plan.sampler.cycles(np.arange(plan.cycles))
    for index, state in enumerate(plan.space.members(structure)):
        places = np.arange(plan.model.places(plan.whole, state))
        for some in np.array_split(moments, max(1, len(moments) * len(places) // 500_000)):
            place, cycle = (part.ravel() for part in np.meshgrid(places, some))
            cells = plan.cells.of(structure, np.full(len(place), index), place, cycle)
            counted += np.bincount(cells, minlength=len(counted))
    assert counted.tolist() == plan.cells.population(structure).tolist()


def test_every_structure_has_its_whole_population():
    plan = plan_of()
    for name in plan.structures:
        assert plan.cells.population(name).sum() == plan.population[name]
    unused = {name: plan.cells.population(name)[-1] for name in plan.structures}
    assert {name for name, count in unused.items() if count} == {
        "accumulators", "activation_memory", "weight_memory", "parameter_memory", "program_memory",
    }  # fmt: skip


def test_hardware_that_looks_at_memories_leaves_no_word_unused():
    plan = plan_of()
    cells = type(plan.cells)(plan.space, plan.schedule, plan.model, plan.sampler, known=False)
    for name in plan.structures:
        found = cells.population(name)
        assert found[-1] == 0 and found.sum() == plan.population[name]


def test_other_faults_have_no_cells():
    with pytest.raises(HoldfastError, match="not stuck bits"):
        _ = plan_of(StuckAtModel(1, 1, 0)).cells
    shortcut = Shortcuts(cycles="first-mac").sampler
    with pytest.raises(HoldfastError, match="first products"):
        _ = plan_of(sampler=shortcut, structures=("weight",)).cells
