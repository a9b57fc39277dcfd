"""Says how long an upset of a memory's word can still matter, from the schedule alone.

    cycles = used_cycles(schedule, state)        # [word, run]

A word is in use while the schedule may read it before it is written. The counts err to one side: a
word that is in use is never called unused. So faults in unused words never fail, whatever a sample
says of them.
"""

import numpy as np
from numpy.typing import NDArray

from holdfast.fault.analysis.last_reads import LastReads
from holdfast.fault.model.space import State
from holdfast.gen.layout import DESCRIPTOR_STRIDE, DESCRIPTOR_WORDS
from holdfast.gen.roles import Role
from holdfast.sim.machine.banks import stored_after
from holdfast.sim.machine.schedule import Schedule
from holdfast.sim.machine.timeline import DescriptorTimeline


def run_bounds(schedule: Schedule) -> NDArray[np.int64]:
    """Returns the cycles between the descriptors' runs, [run + 1], from 0 to the end."""
    return np.array([0, *(run.fetch for run in schedule.runs[1:]), schedule.cycles])


def used_cycles(schedule: Schedule, state: State) -> NDArray[np.int64] | None:
    """Returns for how many cycles of each run a word is in use, from the run's first on.

    Returns
    -------
    int64 [word, run] or None
        None of a register, and of a memory that the schedule does not tell of.
    """
    role, place = state.held.role, state.held.place
    begins, ends = run_bounds(schedule)[:-1], run_bounds(schedule)[1:]
    if role is Role.ACTIVATION_WORDS:
        held = np.stack([_tensors(schedule, run, int(place["bank"]), state.depth)
                         for run in schedule.runs], 1)  # fmt: skip
        return held * (ends - begins)
    if role is Role.ACCUMULATOR_WORDS:
        summed = [run.pixels * (run.reductions > 1) for run in schedule.runs]
        return (np.arange(state.depth)[:, None] < np.array(summed)) * (ends - begins)
    last = LastReads(schedule.program.config, schedule).cycles(state.held, state.depth)
    if last is None:
        return None
    if role is Role.PROGRAM_WORDS:
        # A descriptor is shorter than its place.
        last[np.arange(state.depth) % DESCRIPTOR_STRIDE >= DESCRIPTOR_WORDS] = -1
    return np.clip(last[:, None] + 1 - begins, 0, ends - begins)


def _tensors(
    schedule: Schedule, run: DescriptorTimeline, bank: int, depth: int
) -> NDArray[np.bool_]:
    """Tells which words of a bank belong to a tensor that is read, written or kept by a layer."""
    program, step = schedule.program, run.step
    found = np.zeros(depth, bool)
    for name in {*step.reads, *stored_after(program, step)}:
        place = program.places[name]
        if place.bank == bank:
            found[place.base : place.base + place.size] = True
    return found
