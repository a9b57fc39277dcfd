"""Words that the schedule does not read any more: when, and that nothing happens there."""

import numpy as np
import pytest

from holdfast.fault.model.space import FaultSpace
from holdfast.fault.sampling.use import run_bounds, used_cycles
from holdfast.gen.layout import DESCRIPTOR_STRIDE, DESCRIPTOR_WORDS
from holdfast.gen.roles import Role
from holdfast.sim.machine.schedule import Schedule
from tests.fault.tiny import CONFIG, netlist, program


@pytest.fixture(scope="module")
def schedule():
    return Schedule(program())


def memories(role):
    space = FaultSpace.of(netlist())
    return [s for s in space.states if s.held.role is role and s.kind == "memory"]


def test_a_descriptor_is_in_use_until_its_word_is_fetched(schedule):
    (state,) = memories(Role.PROGRAM_WORDS)
    used = used_cycles(schedule, state)
    for word in range(state.depth):
        number, part = divmod(word, DESCRIPTOR_STRIDE)
        there = number < len(schedule.runs) and part < DESCRIPTOR_WORDS
        assert used[word].sum() == (schedule.runs[number].fetch + part + 1 if there else 0)


def test_weights_are_in_use_until_their_last_read(schedule):
    # Of every run in turn: a tile's row r is addressed r cycles after its row 0.
    last = {}
    for run in schedule.runs:
        cycles, words = run.weight_reads
        for cycle, word in zip(cycles.tolist(), words.tolist(), strict=True):
            for row in range(CONFIG.rows):
                last[word + row] = cycle + row
    first = {"0": 0}
    for state in memories(Role.WEIGHT_WORDS):
        begin = first.get(str(state.held.place["part"]), None)
        if begin is None:
            continue
        used = used_cycles(schedule, state).sum(1)
        wanted = [last.get(begin + word, -1) + 1 for word in range(state.depth)]
        assert used.tolist() == wanted
        assert 0 < np.count_nonzero(used) < state.depth


def test_activations_are_in_use_while_a_layer_needs_their_tensor(schedule):
    bounds = run_bounds(schedule)
    image = program().places[program().graph.nodes[0].name]
    for state in memories(Role.ACTIVATION_WORDS):
        used = used_cycles(schedule, state)
        if state.held.place["bank"] == image.bank:
            # The image is needed by the first layer; a and d, which are added, longer.
            assert (used[image.base, 0] == bounds[1] - bounds[0]).all()
        assert (used <= np.diff(bounds)).all() and (used == 0).any()


def test_registers_are_not_told_of(schedule):
    space = FaultSpace.of(netlist())
    assert all(used_cycles(schedule, s) is None for s in space.states if s.kind == "flip-flop")


def test_sums_are_in_use_where_they_are_added_to(schedule):
    for state in memories(Role.ACCUMULATOR_WORDS):
        used = used_cycles(schedule, state)
        for number, run in enumerate(schedule.runs):
            words = np.count_nonzero(used[:, number])
            assert words == (run.pixels if run.reductions > 1 else 0)
