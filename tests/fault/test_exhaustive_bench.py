"""The benchmarks that compare with plain RTL: what they compare with, and that they tell."""

import json
import random
from dataclasses import replace

import pytest

from holdfast.fault.campaign.engine import Engine
from holdfast.fault.injection.session import check_injectable
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import Site
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARD_ON
from holdfast.sim.machine.schedule import Schedule
from tests.bench import exhaustive
from tests.bench.compared import differing
from tests.bench.plain import PlainRtl
from tests.fault.tiny import images, netlist, recorded


@pytest.mark.parametrize("guard", [GUARD_OFF, GUARD_ON], ids=["off", "on"])
def test_states_run_once_end_as_from_the_first_cycle(guard):
    session, source = recorded(guard), random.Random(2)
    engine = Engine(session, images()[0].numpy(), session.golden)
    session.lockstep.load(0)
    plain = PlainRtl(session, engine.seen)
    places = [(ff.name, source.randrange(ff.width)) for ff in netlist().flip_flops]
    run = session.schedule.runs[2]
    stops = ("sequencer__fsm_state", 2)
    effects = []
    for last in (session.schedule.cycles - 1, run.start[0] + 9, run.fetch + 5, 1):
        for cycle in range(last, last - 2, -1):
            for name, bit in [*source.sample(places, 12), stops]:
                found = plain.run(name, bit, int(cycle))
                wanted = engine.plain(Fault((Site(name, None, bit),), int(cycle)))
                assert found.agrees(wanted) and not differing(found, wanted), (name, bit, cycle)
                effects.append(found.effect)
    assert {"masked", "benign", "hang"} <= {*effects}
    # The golden run, and fewer than half of the faults.
    assert plain.finished < len(effects) / 2


def test_what_differs_is_named():
    session = recorded()
    engine = Engine(session, images()[0].numpy(), session.golden)
    golden = engine.plain(Fault((), 0))
    assert differing(golden, replace(golden, path="end", died="array")) == []
    assert differing(golden, replace(golden, cycles=7, effect="hang")) == ["effect"]
    assert differing(replace(golden, latency=3), replace(golden, latency=4)) == ["latency"]
    for column, value in (("counts", 9), ("status", 3), ("output", b""), ("cycles", 7),
                          ("detected", True), ("sdc5", True), ("top", 9)):  # fmt: skip
        assert differing(golden, replace(golden, **{column: value})) == [column]


@pytest.mark.parametrize("array", exhaustive.ARRAYS)
def test_networks_have_what_they_are_for(array):
    given = exhaustive.ARRAYS[array]
    program, _ = exhaustive.small_network(*given)
    check_injectable(program, given[-1])
    assert [step.name for step in program.steps] == (
        ["first", "second", "added", "pooled", "logits"]
    )
    runs = Schedule(program).runs
    assert any(run.tiles > 1 and run.reductions > 1 for run in runs)
    assert any(run.has_residual for run in runs) and -1 in program.places["first"].lanes


@pytest.mark.long
def test_a_walk_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    """Two cycles of the 3x2 array; the second time one of them is kept and one was cut."""
    options = {"arrays": "3x2", "stride": 200, "first": 60, "audit": 1000, "output": tmp_path}
    assert exhaustive.exhaustive(**options) == 0
    first = json.loads((tmp_path / "exhaustive.json").read_text())["3x2"]
    assert first["faults"] == 2 * first["bits"] and first["differences"] == 0
    assert sum(first["by_path"].values()) == first["faults"]
    assert {"closed", "unread", "window", "end"} <= first["by_path"].keys()
    assert first["from_the_first_cycle"] > 0
    (kept,) = tmp_path.glob("exhaustive/3x2-*.jsonl")
    kept.write_text(kept.read_text()[:-10])
    cycles, walk = [], exhaustive._cycle
    monkeypatch.setattr(
        exhaustive, "_cycle", lambda *given: cycles.append(given[3]) or walk(*given)
    )
    assert exhaustive.exhaustive(**options) == 0
    again = json.loads((tmp_path / "exhaustive.json").read_text())["3x2"]
    assert cycles == [60]
    assert {**first, "seconds": 0} == {**again, "seconds": 0}


@pytest.mark.long
def test_a_walk_tells_a_wrong_engine(tmp_path, monkeypatch):
    made = exhaustive.campaign_engine

    def wrong(*given):
        engine = made(*given)
        run = engine.run
        engine.run = lambda faults: [replace(o, counts=o.counts + 1) for o in run(faults)]
        return engine

    monkeypatch.setattr(exhaustive, "campaign_engine", wrong)
    assert exhaustive.exhaustive("3x2", 400, 100, 10**6, tmp_path) == 1
    found = json.loads((tmp_path / "exhaustive.json").read_text())["3x2"]
    assert found["differences"] > 0.9 * found["faults"]
    assert "counts" in found["first_differences"][0]
