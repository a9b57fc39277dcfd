"""SDC-5, SDC-10 %, SDC-20 % and detection latency, each worked out anew."""

import random

import numpy as np
import pytest

from holdfast.fault.campaign.engine import Engine
from holdfast.fault.injection.observation import Ending, GoldenLayer, Observation
from holdfast.fault.injection.session import RtlSession
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import FaultSpace, Site
from holdfast.fault.outcome.classify import classify
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARD_ON
from holdfast.nn.graph.reference import Reference
from holdfast.sim.machine.banks import banks_before, store
from tests.fault.tiny import graph, images, netlist, program

SPACING = 16


def engine_of(guard):
    inference = RtlSession(program(), netlist(), guard, SPACING)
    codes = images()[0].numpy()
    return Engine(inference, codes, inference.record(codes))


def verdict(clean, faulty):
    """Effect, SDC-5, SDC-10 % and SDC-20 % of logits, as codes."""
    node = graph().nodes[-1]

    def confidence(codes, chosen):
        weights = np.exp(node.scale * (codes.astype(float) - node.zero_point))
        return weights[chosen] / weights.sum()

    top, chosen = int(np.argmax(clean)), int(np.argmax(faulty))
    five = sorted(range(len(clean)), key=lambda index: (-int(clean[index]), index))[:5]
    moved = abs(confidence(faulty, top) / confidence(clean, top) - 1)
    return "benign" if chosen == top else "sdc1", chosen not in five, moved > 0.1, moved > 0.2


def flips_of_logits():
    """Every single flip in the logits: memory, address, bit, and the logits with it."""
    place = program().places["logits"]
    clean = Golden(graph()).run(images()[:1]).outputs["logits"][0].numpy()
    words = program().tensor_words("logits", clean)
    for word in range(place.size):
        for lane in range(program().config.word_lanes):
            for bit in range(8):
                wrong = words.copy()
                wrong[word, lane] ^= np.uint8(1 << bit).view(np.int8)
                memory = f"activations_{place.bank}__lane_{lane}"
                codes = program().tensor_codes("logits", wrong)
                yield memory, place.base + word, bit, wrong[word, lane], codes.ravel()


def test_attributes_of_a_layer():
    golden = Golden(graph())
    reference = Reference.of(golden.run(images()[:1]))
    tensors = reference.codes
    step = program().steps[-1]
    banks = banks_before(program(), step, tensors)
    store(program(), step, tensors, banks)
    flips = list(flips_of_logits())
    seen = [
        Observation(
            Fault((Site(memory, address, bit),), 300, layer=step.name), Ending(900, True),
            memories={memory: [(address, int(value) & 0xFF)]},
        )
        for memory, address, bit, value, _ in flips
    ]  # fmt: skip
    run = GoldenLayer(step.name, 0, 900, 0, 0, banks)
    found = classify(program(), FaultSpace.of(netlist()), golden, reference, run, seen)
    clean = tensors["logits"].ravel()
    expected = [verdict(clean, codes) for *_, codes in flips]
    assert [(r.effect, r.sdc5, r.sdc10, r.sdc20) for r in found] == expected
    for column in zip(*expected, strict=True):
        assert len(set(column)) == 2


def test_attributes_of_an_inference():
    engine = engine_of(GUARD_OFF)
    last = engine.inference.schedule.cycles - 1
    flips = list(flips_of_logits())
    upsets = [Fault((Site(memory, address, bit),), last) for memory, address, bit, _, _ in flips]
    clean = engine.memories.layers.golden["logits"].ravel()
    results = engine.run(upsets)
    assert [r.output for r in results] == [codes.tobytes() for *_, codes in flips]
    expected = [verdict(clean, codes) for *_, codes in flips]
    assert [(r.effect, r.sdc5, r.sdc10, r.sdc20) for r in results] == expected
    assert [r.top for r in results] == [int(np.argmax(codes)) for *_, codes in flips]


@pytest.mark.parametrize("structure", ["requantizer", "guard", "sequencer"])
def test_latency_is_counted_from_the_fault(structure):
    engine, space = engine_of(GUARD_ON), FaultSpace.of(netlist())
    golden, model = engine.inference.golden, engine.inference.model
    source = random.Random(structure)
    upsets = []
    for _ in range(150):
        site = space.site(structure, source.randrange(space.bits(structure)))
        upsets.append(Fault((site,), source.randrange(golden.cycles)))
    checked = 0
    for upset, result in zip(upsets, engine.run(upsets), strict=True):
        if result.latency < 0 or result.cycles != golden.cycles:
            continue
        engine.inference.lockstep.load(upset.cycle)
        ((name, word, bit),) = upset.bits
        model.flip(name, bit, word or 0)
        waited = 0
        while (
            model.read("guard_output") + model.read("guard_input")
            <= golden.counts[upset.cycle + waited]
        ):
            model.step()
            waited += 1
        assert result.latency == waited, upset
        checked += 1
    assert checked
