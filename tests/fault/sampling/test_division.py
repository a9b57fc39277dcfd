"""Strata that a pilot makes: whole, drawn uniformly, and never left out."""

import numpy as np
import pytest
from scipy import stats

from holdfast.fault.model.models.upset import UpsetModel
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.sampling.division import Division, Tally, _classes, divide
from holdfast.fault.sampling.plan import Plan
from holdfast.fault.sampling.sampler import Filters
from holdfast.sim.machine.schedule import Schedule
from tests.fault.tiny import netlist, program

SOME = ("skew", "sequencer", "program_memory", "weight_memory")


def plan_of():
    space, schedule = FaultSpace.of(netlist()), Schedule(program())
    return Plan(space, schedule, UpsetModel(), Filters(structures=SOME))


def tallies(plan, rate):
    """A pilot in which high bits fail as often as ``rate`` says, and no others."""
    result = {}
    for name in plan.structures:
        shape = plan.cells.shape(name)
        trials = np.zeros(shape)
        trials[0] = 4
        harm = np.zeros(shape)
        harm[0, shape[1] // 2 :] = 4 * rate
        result[name] = Tally(np.append(harm, 0), np.append(trials, 400))
    return result


@pytest.fixture(scope="module")
def plan():
    made = plan_of()
    made.division = divide(made.cells, made.structures, tallies(made, 0.2))
    return made


def test_strata_are_the_whole_population(plan):
    for name in plan.structures:
        assert sum(plan.sizes[s] for s in plan.strata(name)) == plan.population[name]
        used = [plan.sizes[s] for s in plan.strata(name) if not plan.division.unused(s)]
        assert min(used) >= 0.002 * sum(used)
    assert plan.sizes["program_memory.0"] == plan.cells.population("program_memory")[-1]
    assert "skew.0" not in plan.sizes and len(plan.strata("weight_memory")) > 2


def test_a_few_cells_before_a_large_one_are_no_stratum_of_their_own():
    population = np.array([1000, 1, 1, 100_000, 1, 50_000])
    numbers = _classes(population, np.array([1e-9, 1e-3, 2e-3, 0.01, 0.3, 0.9]))
    sizes = np.bincount(numbers, population)
    assert sizes[sizes > 0].min() >= 0.002 * population.sum() and (sizes > 0).sum() == 2


def test_high_bits_are_drawn_more_often(plan):
    counts = plan.allocate(3000, 1)
    rates = plan.division.rates
    density = {n: counts[n] / plan.sizes[n] for n in plan.strata("weight_memory")[1:]}
    assert len(density) > 1
    assert sorted(density, key=density.get) == sorted(density, key=rates.get)


def test_nothing_is_left_out_whatever_the_pilot_saw():
    plan = plan_of()
    for rate in (0.0, 1e-9, 1.0):
        plan.division = divide(plan.cells, plan.structures, tallies(plan, rate))
        counts = plan.allocate(2000, 50)
        assert counts.keys() == plan.sizes.keys() and min(counts.values()) >= 10
        assert abs(sum(counts.values()) - 2000) < 400
        for name in plan.structures:
            assert sum(counts[stratum] for stratum in plan.strata(name)) >= 50
        # One failure more, where none was seen, moves the total by a few of 2,000.
        used = [s for s in counts if not plan.division.unused(s)]
        total = sum(plan.sizes[s] for s in used)
        assert max(plan.sizes[s] / total / counts[s] for s in used) < 6 / 2000


def test_without_smoothing_the_shares_are_those_of_neyman():
    # Two strata of a tenth and nine tenths, at 1/2 and 1/50: Neyman's shares are 0.1 * 0.5 to
    # 0.9 * 0.14, so 284 to 716 of 1,000; a defensive part moves few of them here.
    division = Division({"x": np.zeros(1, np.int8)}, {"x.1": 900, "x.2": 100, "x.0": 1},
                        {"x.1": 0.02, "x.2": 0.5, "x.0": 0.0})  # fmt: skip
    counts = division.allocate(10_000, 0)
    ratio = counts["x.2"] / counts["x.1"]
    assert ratio == pytest.approx(0.1 * 0.5 / (0.9 * 0.14), rel=0.05)


def test_where_no_failure_is_expected_a_part_is_drawn_in_proportion():
    """A fifth at least: Neyman's shares alone would leave nothing for nine tenths of the space."""
    division = Division({"x": np.zeros(1, np.int8)}, {"x.1": 900, "x.2": 100},
                        {"x.1": 1e-12, "x.2": 0.5})  # fmt: skip
    counts = division.allocate(10_000, 0)
    assert counts["x.1"] >= 0.2 * 0.9 * 10_000 and 9_990 <= sum(counts.values()) <= 10_002


def test_draws_are_uniform_within_a_stratum(plan):
    for stratum in ("skew.1", "program_memory.1", "program_memory.0", "weight_memory.2"):
        structure = stratum.partition(".")[0]
        found = plan.cells.population(structure).astype(float)
        inside = plan.division.inside(stratum, np.arange(len(found)))
        faults = [f for unit in range(4) for f in plan.draw(stratum, unit, 1000, 5)]
        members = plan.space.members(structure)
        index = {state.signal: n for n, state in enumerate(members)}
        states = np.array([index[f.site.signal] for f in faults])
        places = np.array([(f.site.address or 0) * plan.space[f.site.signal].width + f.site.bit
                           for f in faults])  # fmt: skip
        cells = plan.cells.of(structure, states, places, np.array([f.cycle for f in faults]))
        assert inside[cells].all()
        # By bit, since most cells are smaller than the sample.
        shape = plan.cells.shape(structure)
        if not stratum.endswith(".0"):
            bit = np.unravel_index(np.arange(len(found) - 1), shape)[1]
            wanted = np.bincount(bit, np.where(inside, found, 0)[:-1], shape[1])
            seen = np.bincount(bit[cells], minlength=shape[1])
            kept = wanted > 0
            expected = wanted[kept] / wanted.sum() * len(faults)
            assert stats.chisquare(seen[kept], expected).pvalue > 1e-4
        assert plan.draw(stratum, 3, 50, 5) != plan.draw(stratum, 2, 50, 5)
        assert plan.draw(stratum, 3, 50, 5) == plan.draw(stratum, 3, 900, 5)[:50]


def test_where_nothing_is_in_use_all_is_drawn_in_proportion():
    space, schedule = FaultSpace.of(netlist()), Schedule(program())
    (words,) = (s for s in space.members("program_memory") if s.kind == "memory")
    late = Filters((words.structure,), ("logits",), ("drain",), f"^{words.signal}$")
    plan = Plan(space, schedule, UpsetModel(), late)
    size = len(plan.cells.population("program_memory"))
    plan.division = divide(
        plan.cells, plan.structures, {"program_memory": Tally(np.zeros(size), np.zeros(size))}
    )
    assert plan.allocate(300, 1) == {"program_memory.0": 300}
    assert len(plan.draw("program_memory.0", 0, 20, 1)) == 20
