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
from holdfast.fault.sampling.sampler import PHASES, Filters, phase_bounds
from holdfast.nn.graph.guard_modes import GUARD_OFF
from holdfast.sim.machine.schedule import Schedule
from tests.fault.tiny import images, netlist, program
from tests.sim.small import flip_flop_bits, memory_bits

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


def test_population_counts_every_bit_and_cycle(space, schedule):
    plan = plan_of(space, schedule)
    bits = flip_flop_bits(netlist()) + memory_bits(netlist())
    assert plan.total == bits * schedule.cycles == space.population(schedule.cycles)
    assert plan.excluded == {}


def test_filters(space, schedule):
    plan = plan_of(space, schedule, structures=("weight",), pes=((0, 1),), layers=("b",))
    assert {state.signal for state in plan.space.states} == {
        "array__pe_0_1__weight", "array__pe_0_1__shadow",
    }  # fmt: skip
    (run,) = (run for run in schedule.runs if run.step.name == "b")
    assert plan.sampler.window == sorted(phase_bounds(run).values())
    assert plan.cycles == run.end - run.fetch
    for upset in plan.draw("weight", 0, 200, 1):
        assert run.fetch <= upset.cycle < run.end
    assert plan.excluded["weight"] == space.bits("weight") - 16
    streaming = plan_of(space, schedule, phases=("stream",))
    for upset in streaming.draw("host", 0, 100, 1):
        begin, end = phase_bounds(schedule.at(upset.cycle))["stream"]
        assert begin <= upset.cycle < end


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"structures": ("wieght",)}, "structure 'wieght' does not exist; known are pe_activation"),
        ({"pattern": "nothing_like_it"}, "no register or memory is left by pattern"),
        ({"pattern": "("}, "pattern '\\(' is not valid"),
        ({"layers": ("z",)}, "layer 'z' does not exist; known are a, b, d, logits"),
        ({"phases": ("idle",)}, "phase 'idle' does not exist"),
        ({"pes": ((0, 1), (7, 7))}, "processing element 7.7 does not exist; they are 0.0 to"),
    ],
)
def test_filters_that_match_nothing(space, schedule, filters, message):
    with pytest.raises(HoldfastError, match=message):
        plan_of(space, schedule, **filters)


def test_draws_are_uniform_and_continue(space, schedule):
    plan = plan_of(space, schedule)
    assert plan.draw("skew", 4, 50, 1) == plan.draw("skew", 4, 50, 1)
    assert plan.draw("skew", 4, 50, 1) != plan.draw("skew", 5, 50, 1)
    bits = space.bits("skew")
    upsets = [u for unit in range(40) for u in plan.draw("skew", unit, 500, 1)]
    found = np.zeros(bits)
    numbers = {space.site("skew", n): n for n in range(bits)}
    for upset in upsets:
        ((name, _, bit),) = upset.bits
        found[next(n for s, n in numbers.items() if (s.signal, s.bit) == (name, bit))] += 1
    expected = len(upsets) / bits
    # Chi-squared with bits - 1 degrees of freedom: mean bits - 1, variance 2 (bits - 1).
    statistic = ((found - expected) ** 2 / expected).sum()
    assert abs(statistic - (bits - 1)) < 4 * (2 * (bits - 1)) ** 0.5
    cycles = np.array([upset.cycle for upset in upsets]) / schedule.cycles
    assert abs(cycles.mean() - 0.5) < 4 / (12 * len(upsets)) ** 0.5


def test_adjacent_bits_stay_in_their_word(space, schedule):
    plan = plan_of(space, schedule, UpsetModel(bits=3))
    for structure in plan.structures:
        for upset in plan.draw(structure, 0, 50, 2):
            names = {(name, word) for name, word, _ in upset.bits}
            assert len(names) == 1
            bits = [bit for _, _, bit in upset.bits]
            assert bits == list(range(bits[0], bits[0] + 3))
            assert bits[-1] < space[upset.bits[0][0]].width


def test_margin_plans_the_sample(space, schedule):
    plan = plan_of(space, schedule)
    # Leveugle: 9604 for an infinite population, 95 % and 1 %, to which this one is close.
    assert plan.faults(0.01, 0.95) == pytest.approx(9604, rel=0.001)
    assert plan.faults(0.01, 0.95) == int(np.ceil(sample_size(plan.total, 0.01, 0.95)))
    counts = plan.allocate(10_000, 50)
    assert min(counts.values()) >= 50
    assert counts["weight_memory"] == pytest.approx(
        10_000 * space.bits("weight_memory") / space.bits(), abs=1
    )
