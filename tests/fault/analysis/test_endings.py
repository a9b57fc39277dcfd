"""Faults that stop a run, decided from the control alone."""

from types import SimpleNamespace

import pytest

from holdfast.fault.analysis.endings import EndingResolver
from holdfast.fault.injection.session import RtlSession
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import Site
from holdfast.gen.layout import DESCRIPTOR, Status
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARD_ON
from tests.fault.tiny import CONFIG, images, netlist, program


@pytest.fixture(scope="module")
def session():
    session = RtlSession(program(), netlist(), GUARD_OFF)
    session.golden = session.record(images()[0].numpy())
    return session


def bit(name):
    """The highest bit of a descriptor's field, in the sequencer."""
    field = next(field for field in DESCRIPTOR if field.name == name)
    return Site(f"sequencer__word_{field.word}", None, field.offset + field.width - 1)


def test_the_control_is_made_for_its_first_fault(session):
    resolver = EndingResolver.of(session)
    assert resolver.resolve(Fault((Site("weights__lane_0", 0, 0),), 100)) is None
    assert resolver.resolve(Fault((Site("lanes__bias_0", None, 0),), 100)) is None
    assert session.control is None
    resolver.resolve(Fault((bit("step_x"),), 100))
    assert session.control is not None


def test_where_rtl_decides_alone_there_is_none():
    program = SimpleNamespace(config=CONFIG.with_(protections=("parity",)))
    assert EndingResolver.of(SimpleNamespace(guard=GUARD_OFF, program=program)) is None


def test_an_address_outside_stops(session):
    resolver = EndingResolver.of(session)
    run = session.schedule.runs[1]
    outcome = resolver.resolve(Fault((bit("step_x"),), int(run.start[0])))
    assert outcome is not None and outcome.ended
    assert outcome.status == Status.ACTIVATION_ADDRESS
    assert run.fetch < outcome.cycles < run.end + 100


def test_before_the_first_parameters_a_guard_counts(session):
    """A pixel that is finished too early meets bounds that nobody has set."""
    resolver = EndingResolver.of(session)
    run = session.schedule.runs[0]
    fault = Fault((bit("step_x"),), int(run.start[0]))
    assert session.plain(fault).status == Status.ACTIVATION_ADDRESS
    assert resolver.resolve(fault) is None


def test_too_many_tiles_hang(session):
    """More output tiles than a run may last, at addresses that begin anew."""
    resolver = EndingResolver.of(session)
    run = session.schedule.runs[1]
    outcomes = [
        resolver.resolve(Fault((bit(name),), run.fetch + run.timing.fetch - 2))
        for name in ("blocks", "kernel_h", "out_h", "co_tiles")
    ]
    assert all(outcome is None or outcome.status or not outcome.ended for outcome in outcomes)
    assert any(outcome is not None for outcome in outcomes)


def test_more_bits_and_guards_are_for_others(session):
    resolver = EndingResolver.of(session)
    assert resolver.resolve(Fault((bit("step_x"), bit("step_y")), 100)) is None
    guarded = RtlSession(program(), netlist(), GUARD_ON)
    guarded.golden = guarded.record(images()[0].numpy())
    assert EndingResolver.of(guarded) is None
