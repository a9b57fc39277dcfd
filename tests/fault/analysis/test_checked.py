"""Faults of protected accelerators: what campaigns decide in other ways is what RTL does, and no
single upset of what a protection sees passes it.
"""

import random
from functools import cache

import pytest

from holdfast.fault.analysis.liveness import LivenessTable
from holdfast.fault.campaign.engine import Engine
from holdfast.fault.campaign.golden_runs import watched
from holdfast.fault.injection.session import RtlSession
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import FaultSpace, Site
from holdfast.gen.layout import DESCRIPTOR, DESCRIPTOR_STRIDE, FIRST_CHECK, Status
from holdfast.gen.protection.presets import PRESETS
from holdfast.gen.roles import Role
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.guard_modes import GUARD_OFF
from holdfast.sim.netlist.accelerator import accelerator_netlist
from tests.fault import tiny

EACH = 25
"""Faults of a structure."""


@cache
def engine(preset):
    config = tiny.CONFIG.with_(guard=False, protections=PRESETS[preset])
    session = RtlSession(
        compile_graph(tiny.graph(), config), accelerator_netlist(config), GUARD_OFF, 16
    )
    codes = tiny.images()[0].numpy()
    session.golden = trace = session.record(codes)
    netlist = session.netlist
    return Engine(
        session, codes, trace, LivenessTable.of(netlist, session.lockstep, watched(netlist))
    )


def upset(source, state, cycles):
    address = None if state.kind == "flip-flop" else source.randrange(state.depth)
    site = Site(state.signal, address, source.randrange(state.width))
    return Fault((site,), source.randrange(cycles))


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("preset", ["strong", "light"])
def test_every_structure_is_decided_as_by_rtl(preset):
    made, source = engine(preset), random.Random(7)
    space = FaultSpace.of(made.inference.netlist)
    assert "check" in space.structures
    for structure in space.structures:
        members = space.members(structure)
        faults = [
            upset(source, source.choice(members), made.inference.golden.cycles) for _ in range(EACH)
        ]
        for fault, found in zip(faults, made.run(faults), strict=True):
            assert found.agrees(made.plain(fault)), fault


def test_rtl_is_the_exception():
    """Windows of RTL are for what ends well; a stop is the control's."""
    made, source = engine("strong"), random.Random(8)
    space = FaultSpace.of(made.inference.netlist)
    for structure in ("weight", "weight_memory", "parameter_memory", "sequencer", "check"):
        members = space.members(structure)
        found = made.run([upset(source, source.choice(members), 2000) for _ in range(50)])
        stopped = [each for each in found if each.effect == "stopped"]
        assert stopped and all(each.path == "end" for each in stopped)


def of_a_field(word, bit):
    fields = [f for f in DESCRIPTOR if f.word == word]
    return any(f.offset <= bit < f.offset + f.width for f in fields)


def read_once(made, role):
    """A word of each memory of a role that the run reads once, and the cycle of that."""
    runs = made.inference.schedule.runs
    run = runs[1]
    if role is Role.PROGRAM_WORDS:
        return [(run.index * DESCRIPTOR_STRIDE + word, run.fetch + word) for word in range(19)]
    if role is Role.PARAMETER_WORDS:
        first = run.descriptor.param_base
        return [(first, int(run.finish[0]) + run.timing.parameters)]
    cycles, words = run.weight_reads
    return [(int(words[1]), int(cycles[1]))]


@pytest.mark.parametrize(
    "role, status",
    [
        (Role.PROGRAM_WORDS, Status.PROGRAM_CHECK),
        (Role.PARAMETER_WORDS, Status.PARAMETER_CHECK),
        (Role.WEIGHT_WORDS, Status.WEIGHT_CHECK),
        (Role.CHECK_WORDS, Status.WEIGHT_CHECK),
    ],
)
def test_every_bit_of_a_word_that_is_read_is_found(role, status):
    made = engine("strong")
    memories = [m for m in made.inference.netlist.memories if m.held and m.held.role is role]
    for memory in memories:
        for address, cycle in read_once(made, role):
            for bit in range(memory.width):
                before, after = (
                    made.plain(Fault((Site(memory.name, address, bit),), moment))
                    for moment in (cycle, cycle + 1)
                )
                assert before.effect == "stopped", (memory.name, address, bit)
                # Some wrong descriptors are refused, or leave a memory, as soon as they begin.
                assert before.status == status or role is Role.PROGRAM_WORDS
                assert after.effect in ("latent", "masked"), (memory.name, address, bit)


@pytest.mark.parametrize(
    "role, status",
    [
        (Role.DESCRIPTOR_WORD, Status.DESCRIPTOR_CHECK),
        (Role.LANE_BIAS, Status.LANE_CHECK),
        (Role.LANE_PARAMETERS, Status.LANE_CHECK),
        (Role.PE_WEIGHT, Status.STATIONARY_CHECK),
    ],
)
def test_every_bit_that_is_held_is_found(role, status):
    """In the middle of a layer, after its parameters were taken."""
    made = engine("strong")
    run = made.inference.schedule.runs[1]
    cycle = int(run.finish[0]) + run.timing.write
    registers = [ff for ff in made.inference.netlist.flip_flops if ff.held.role is role]
    assert registers
    for register in registers:
        for bit in range(register.width):
            if role is Role.DESCRIPTOR_WORD and not of_a_field(register.held.place["word"], bit):
                continue
            found = made.plain(Fault((Site(register.name, None, bit),), cycle))
            assert found.effect == "stopped", (register.name, bit)
            assert found.status == status or found.status < FIRST_CHECK


def effects_on_control(preset):
    """Of two upsets of each register of the control."""
    made, source = engine(preset), random.Random(9)
    members = FaultSpace.of(made.inference.netlist).members("sequencer")
    cycles = made.inference.golden.cycles
    faults = [upset(source, member, cycles) for member in members for _ in range(2)]
    return [found.effect for found in made.run(faults)]


def test_no_upset_of_the_control_passes():
    found = effects_on_control("strong")
    assert found.count("stopped") > len(found) // 2
    assert not {*found} & {"sdc1", "benign"}


def test_it_is_what_finds_them():
    """Without protections the same upsets of the control change the class."""
    found = effects_on_control("none")
    assert found.count("sdc1") > 5
    assert found.count("stopped") < len(found) // 2
