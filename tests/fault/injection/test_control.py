"""The control alone against the whole accelerator: how runs end that do not end well."""

import random
from collections import Counter

import pytest

from holdfast.fault.injection.control import ControlRun
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import FaultSpace, Site
from tests.fault.tiny import netlist, recorded


@pytest.fixture(scope="module")
def session():
    return recorded()


@pytest.fixture(scope="module")
def control(session):
    return ControlRun(netlist(), session.lockstep, session.moments())


def test_bad_endings_are_those_of_the_accelerator(session, control):
    """What the control says is what the whole run shows; it is silent where that ends well."""
    space, source = FaultSpace.of(netlist()), random.Random(1)
    found = Counter()
    for _ in range(700):
        site = space.site("sequencer", source.randrange(space.bits("sequencer")))
        fault = Fault((site,), source.randrange(session.golden.cycles))
        end, plain = control.ending(fault, session.limit), session.plain(fault)
        if end is None:
            found["silent", plain.ended, bool(plain.status)] += 1
            continue
        found["told", plain.ended, bool(plain.status)] += 1
        assert (bool(end.status), end.status) == (plain.ended, plain.status), fault
        assert end.cycle == plain.cycles, fault
    assert found["told", True, True] > 50, found
    assert not found["told", True, False] and not found["silent", True, True], found


def test_a_run_that_goes_on_as_the_golden_one_may_be_too_late(session, control):
    """More kernel rows take 2,400 cycles: what is left of the golden run does not fit the limit."""
    fault = Fault.parse("c42/feeder__kernel_row[1]")
    ends = session.plain(fault).cycles
    assert ends > session.golden.cycles + 2000
    assert control.ending(fault, ends - 1) == (0, ends - 1)
    assert control.ending(fault, ends) is None


def test_what_is_no_control_is_not_decided(session, control):
    for name in ("array__pe_0_0__weight", "axi__fsm_state", "lanes__bias_0"):
        assert control.ending(Fault((Site(name, None, 0),), 100), session.limit) is None
