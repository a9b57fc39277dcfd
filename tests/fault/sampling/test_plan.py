"""Populations: what is named twice counts once, and what is small is tried whole."""

from itertools import pairwise, product

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.base.errors import HoldfastError
from holdfast.base.statistics import sample_size
from holdfast.fault.campaign.spec import CampaignSpec
from holdfast.fault.campaign.workers import Worker
from holdfast.fault.model.models.upset import UpsetModel
from holdfast.fault.model.space import FaultSpace, Site
from holdfast.fault.peers.shortcuts import Shortcuts
from holdfast.fault.sampling.plan import Plan
from holdfast.fault.sampling.sampler import PHASES, Filters
from holdfast.nn.graph.guard_modes import GUARD_OFF
from holdfast.sim.machine.schedule import Schedule
from tests.fault.tiny import images, netlist, program


@pytest.fixture(scope="module")
def space():
    return FaultSpace.of(netlist())


@pytest.fixture(scope="module")
def schedule():
    return Schedule(program())


SMALL = {"structures": ("weight", "skew"), "layers": ("a",), "phases": ("drain",)}


def addresses(state):
    return range(state.depth) if state.kind == "memory" else [None]


def plan_of(space, schedule, model=None, shortcuts=None, **filters):
    more = () if shortcuts is None else (shortcuts.sampler,)
    return Plan(space, schedule, model or UpsetModel(), Filters(**filters), *more)


@pytest.mark.parametrize(
    "filters",
    [
        {"phases": ("stream", "stream")},
        {"layers": ("b", "a", "b")},
        {"structures": ("skew", "skew")},
        {"pes": ((0, 1), (0, 1))},
        {"phases": ("drain", "fetch", "drain"), "layers": ("a", "a")},
    ],
)
def test_what_is_named_twice_counts_once(space, schedule, filters):
    once = {name: tuple(dict.fromkeys(value)) for name, value in filters.items()}
    twice, plan = plan_of(space, schedule, **filters), plan_of(space, schedule, **once)
    assert twice.population == plan.population and twice.sampler.window == plan.sampler.window
    assert twice.filters == Filters(**once)


@given(st.lists(st.sampled_from(PHASES), max_size=8), st.lists(st.sampled_from("ab"), max_size=6))
@settings(max_examples=50, deadline=None)
def test_a_population_has_every_cycle_at_most_once(phases, layers):
    plan = plan_of(
        FaultSpace.of(netlist()), Schedule(program()), phases=tuple(phases), layers=tuple(layers)
    )
    cycles = [cycle for begin, end in plan.sampler.window for cycle in range(begin, end)]
    assert len(set(cycles)) == len(cycles) == plan.cycles
    assert plan.cycles <= plan.schedule.cycles


@pytest.mark.parametrize("bits", [1, 3])
def test_a_small_population_is_tried_whole(space, schedule, bits):
    model = UpsetModel(bits=bits)
    plan = plan_of(space, schedule, model, **SMALL)
    counts = plan.allocate(10 * plan.total, 5)
    assert counts == plan.population and plan.tried_whole(counts) == {"weight", "skew"}
    for structure, size in counts.items():
        cuts = [0, size // 3, size // 2, size]
        upsets = [
            upset
            for first, end in pairwise(cuts)
            for upset in plan.every(structure, first, end - first)
        ]
        moments = [cycle for begin, end in plan.sampler.window for cycle in range(begin, end)]
        expected = {
            (tuple(Site(state.signal, address, bit + k) for k in range(bits)), cycle)
            for state in space.members(structure)
            for address, bit in product(addresses(state), range(state.width - bits + 1))
            for cycle in moments
        }
        assert len(upsets) == size == len(expected)
        assert {(upset.bits, upset.cycle) for upset in upsets} == expected


def test_only_what_is_small_is_tried_whole(space, schedule):
    plan = plan_of(space, schedule, **SMALL)
    least = min(plan.population, key=plan.population.__getitem__)
    other = max(plan.population, key=plan.population.__getitem__)
    size = plan.population[least]
    counts = plan.allocate(1, size)
    assert counts[least] == size and counts[other] == size < plan.population[other]
    assert plan.tried_whole(counts) == {least}
    assert plan.tried_whole(plan.allocate(1, size - 1)) == frozenset()


def test_a_margin_of_a_small_population_tries_all(space, schedule):
    plan = plan_of(space, schedule, **SMALL)
    assert plan.faults(0.0001, 0.99) == plan.total
    assert plan.allocate(plan.total, 0) == plan.population
    # Leveugle's formula where less than half of them is needed.
    assert plan.faults(0.2, 0.9) == int(np.ceil(sample_size(plan.total, 0.2, 0.9)))


def test_a_margin_that_nobody_can_compute(space, schedule, monkeypatch):
    monkeypatch.setattr("holdfast.fault.sampling.plan.MOST_FAULTS", 5000)
    plan = plan_of(space, schedule)
    with pytest.raises(HoldfastError, match="a campaign has at most 5,000"):
        plan.faults(1e-7, 0.99)


def test_first_products_are_always_drawn(space, schedule):
    """Their draws are not uniform, so that trying all is another measurement."""
    plan = plan_of(space, schedule, shortcuts=Shortcuts("first-mac"), layers=("a",))
    assert plan.tried_whole(plan.population) == frozenset()
    with pytest.raises(HoldfastError, match="too many of the"):
        plan.faults(0.0001, 0.99)


def test_units_of_a_whole_structure_hold_each_fault_once(space, schedule):
    filters = Filters(structures=("skew",), layers=("a",), phases=("fetch",), pattern="_0")
    plan = Plan(space, schedule, UpsetModel(), filters)
    job = CampaignSpec(
        program(), netlist(), GUARD_OFF, images()[:1].numpy(), None, UpsetModel(), filters,
        plan.allocate(10 * plan.total, 0), size=plan.total // 2 + 1, seed=3, audit=0.0, spacing=16,
    )  # fmt: skip
    worker = Worker(job)
    units = job.units()
    tables = [pq.read_table(pa.BufferReader(worker.compute(unit)[0])) for unit in units]
    faults = pa.concat_tables(tables).column("fault").to_pylist()
    assert len(units) == 2 and len(set(faults)) == len(faults) == plan.total
    # Stopping early never leaves a part of them.
    assert job.units_until(1, plan.tried_whole(job.counts)) == units


@pytest.mark.parametrize(
    "pattern",
    ["a{99999999999}", "(" * 5000 + ")" * 5000, "[z-a]", "(?P<x>a)(?P<x>b)", "\\", "*", "a{2,1}",
     "(?i", "\x1b[", "(?<=a+)b", "\ud800("],
)  # fmt: skip
def test_what_is_no_pattern_is_one_sentence(space, schedule, pattern):
    with pytest.raises(HoldfastError) as caught:
        plan_of(space, schedule, pattern=pattern)
    told = str(caught.value)
    assert told.startswith("pattern ") and told.isprintable() and len(told) < 400
