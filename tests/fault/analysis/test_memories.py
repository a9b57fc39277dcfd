"""Wrong words around concatenations, and in lanes without a channel, against plain RTL."""

import pytest

from holdfast.fault.campaign.engine import Engine
from holdfast.fault.injection.session import RtlSession
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import Site
from holdfast.gen.layout import DESCRIPTOR
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARD_ON
from holdfast.nn.networks.spec import Network
from tests.fault.tiny import CONFIG, images, netlist
from tests.random_graph import random_graph


@pytest.fixture(scope="module", params=[GUARD_OFF, GUARD_ON], ids=["off", "on"])
def engine(request):
    """A residual block and a concatenation that do not fill their words."""
    net = Network("joined", input_shape=(3, 4, 4))
    a = net.conv("a", "image", 3, 1)
    b = net.conv("b", a, 3, 1)
    a = net.add("sum", net.conv("last", b, 3, 1, activation="none"), a)
    net.dense("logits", net.concat("c", net.conv("d", a, 1, 1), net.conv("e", a, 3, 1)), 3)
    program = compile_graph(random_graph(net, seed=4), CONFIG)
    codes = images()[0].numpy()
    inference = RtlSession(program, netlist(), request.param, 16)
    return Engine(inference, codes, inference.record(codes))


def runs_of(engine, step):
    return [run for run in engine.inference.schedule.runs if run.step.name == step]


def test_a_part_that_a_later_step_reads(engine):
    place = engine.program.places["e"]
    faults = [
        Fault(
            (Site(f"activations_{place.bank}__lane_{lane}", place.base + word, 6),),
            int(run.start[0]),
        )
        for run in runs_of(engine, "c.0")
        for word in range(0, place.size, 3)
        for lane in range(CONFIG.word_lanes)
    ]
    outcomes = engine.run(faults)
    assert all(o.agrees(engine.plain(f)) for f, o in zip(faults, outcomes, strict=True))
    assert {outcome.effect for outcome in outcomes} - {"masked", "latent"}


def test_a_residual_of_no_channel(engine):
    """It is read and added, but nothing that is read again comes of it."""
    (run,) = runs_of(engine, "sum")
    place = engine.program.places["a"]
    assert place.lanes == (0, 1, 2, -1) and run.has_residual
    faults = [
        Fault((Site(f"activations_{place.bank}__lane_1", word, 6),), run.fetch)
        for word in range(place.base + 1, place.base + place.size, place.words)
    ]
    # Each alone: nothing else is wrong in the layer.
    outcomes = [engine.run([fault])[0] for fault in faults]
    assert all(o.agrees(engine.plain(f)) for f, o in zip(faults, outcomes, strict=True))


def test_a_shortcut_to_more_channels_reads_lanes_without_one():
    """What lies behind the last channel is the zero of the new ones, for words and for clamps."""
    net = Network("lengthened", input_shape=(3, 4, 4))
    a = net.conv("a", "image", 3, 1)
    b = net.conv("last", net.conv("b", a, 3, 1), 4, 1, activation="none")
    net.dense("logits", net.add("sum", b, net.shortcut("s", a, 4, 1)), 3)
    program = compile_graph(random_graph(net, seed=4), CONFIG)
    inference = RtlSession(program, netlist(), GUARD_OFF, 16)
    codes = images()[0].numpy()
    engine = Engine(inference, codes, inference.record(codes))
    place = program.places["a"]
    first, second, *_ = inference.schedule.runs
    assert place.lanes == (0, 1, 2, -1) and program.steps[2].reads == ("b", "a")
    words = range(place.base + 1, place.base + place.size, place.words)
    faults = [
        Fault((Site(f"activations_{place.bank}__lane_1", word, 6),), second.fetch) for word in words
    ]
    faults += [
        Fault((Site(f"sequencer__word_{field.word}", None, field.offset + bit),), cycle)
        for field in DESCRIPTOR
        if field.name in ("lo", "hi")
        for bit in range(8)
        for cycle in range(int(first.start[0]), first.end, 7)
    ]
    outcomes = engine.run(faults)
    assert all(o.agrees(engine.plain(f)) for f, o in zip(faults, outcomes, strict=True))
    assert any(outcome.effect not in ("masked", "latent") for outcome in outcomes[: len(words)])
