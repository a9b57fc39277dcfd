"""Faults in many machines at once against the same faults one after the other."""

import random
from collections import Counter

import numpy as np
import pytest

from holdfast.fault.injection.many import ManyRuns
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import Site
from holdfast.nn.graph.guard_modes import GUARDS
from tests.fault.tiny import images, netlist, recorded


def drawn(session, count, seed):
    source = random.Random(seed)
    registers = netlist().flip_flops
    faults = []
    for _ in range(count):
        register = source.choice(registers)
        site = Site(register.name, None, source.randrange(register.width))
        faults.append(Fault((site,), source.randrange(session.golden.cycles)))
    return faults


def same(found, expected):
    """Whether two runs ended alike, with the same words wrong."""
    plain = ("kind", "cycle", "shift", "golden_cycle", "detected")
    if any(getattr(found, name) != getattr(expected, name) for name in plain):
        return False
    pairs = list(zip(found.memories, expected.memories, strict=False))
    return len(found.memories) == len(expected.memories) and all(
        a.memory == b.memory and all(map(np.array_equal, a[1:], b[1:])) for a, b in pairs
    )


@pytest.mark.parametrize("guard", ["off", "bound"])
def test_ends_are_those_of_one_alone(guard):
    session = recorded(GUARDS[guard])
    many = ManyRuns(netlist(), session.lockstep)
    faults = drawn(session, 1500, seed=len(guard))
    kinds = Counter()
    for fault, (end, violations, state) in zip(
        faults, many.inject(faults, session.limit), strict=True
    ):
        kinds[end.kind] += 1
        if end.kind == "unfinished":
            if end.cycle < fault.cycle:
                continue
            # The others run on alone.
            session.lockstep.put(state, end.cycle, end.shift)
            found = session.lockstep.proceed(session.limit, 0)
            alone = session.lockstep.inject(fault, session.limit)
            assert (found.kind, found.cycle, found.shift) == (alone.kind, alone.cycle, alone.shift)
            continue
        alone = session.lockstep.inject(fault, session.limit)
        assert same(end, alone), fault
        assert violations == session.lockstep.violations(), fault
        if state is not None:
            assert np.array_equal(
                state[: session.lockstep.state_bytes], session.lockstep.state()
            ), fault
    assert min(kinds[kind] for kind in ("equal", "ended", "hang", "unfinished")) > 0, kinds


def test_a_run_that_was_put_into_the_model_is_read_out_alike():
    session = recorded()
    many = ManyRuns(netlist(), session.lockstep)
    faults = drawn(session, 400, seed=9)
    ended = 0
    for fault, (end, _, state) in zip(faults, many.inject(faults, session.limit), strict=True):
        if end.kind == "ended":
            session.lockstep.put(state, end.cycle, end.shift)
            seen, plain = session.read_out(end), session.plain(fault)
            assert (seen.ended, seen.status, seen.cycles, seen.counts) == (
                plain.ended, plain.status, plain.cycles, plain.counts,
            )  # fmt: skip
            assert np.array_equal(seen.output, plain.output)
            ended += 1
    assert ended > 20


def test_it_follows_the_golden_run():
    """Another image's run is taken as soon as it is the lockstep's."""
    session = recorded()
    many = ManyRuns(netlist(), session.lockstep)
    faults = drawn(session, 60, seed=5)
    many.inject(faults, session.limit)
    session.golden = session.record(images()[1].numpy())
    for fault, (end, _, _) in zip(faults, many.inject(faults, session.limit), strict=True):
        if end.kind in ("equal", "ended"):
            assert same(end, session.lockstep.inject(fault, session.limit)), fault
    assert many.inject([], session.limit) == []
