"""Attributes of a fault, from observations written by hand."""

import pytest

from holdfast.fault.injection.observation import Ending, GoldenLayer, Observation
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import FaultSpace, Site
from holdfast.fault.outcome.classify import classify
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.reference import Reference
from holdfast.sim.machine.banks import banks_before
from tests.fault.tiny import graph, images, netlist, program

VALUE = Site("lanes__requantizer_0__rounded", None, 9)
COUNTER = Site("guard_output", None, 3)


def result(site, *, guard="bound", counted=0, changed=0):
    """The result of a fault in layer b whose guard counts, and whose output differs in bits."""
    golden = Golden(graph(), guard, guard)
    reference = Reference.of(golden.run(images()[:1]))
    tensors = reference.codes
    step = program().steps[1]
    banks = banks_before(program(), program().steps[2], tensors)
    run = GoldenLayer(step.name, 0, 900, 0, 0, banks, 0)
    place = program().places[step.target]
    memories = {}
    if changed:
        word = place.base + 5
        memory = f"activations_{place.bank}__lane_1"
        memories = {memory: [(word, int(banks[place.bank, word, 1]) & 0xFF ^ changed)]}
    seen = Observation(
        Fault((site,), 300, layer=step.name), Ending(900, True, 0, counted), memories=memories
    )
    space = FaultSpace.of(netlist())
    (found,) = classify(program(), space, golden, reference, run, [seen])
    return found


@pytest.mark.parametrize(
    ("site", "options", "detected", "false_alarm", "corrected"),
    [
        (VALUE, {"counted": 1}, True, False, True),
        (VALUE, {}, False, False, False),
        (VALUE, {"counted": 1, "changed": 0x40}, True, False, False),
        # Later layers count as often as in the golden run.
        (VALUE, {"changed": 0x01}, False, False, False),
        (VALUE, {"counted": 1, "guard": None}, False, False, False),
        (COUNTER, {"counted": 8}, True, True, False),
        (COUNTER, {"counted": 8, "guard": None}, False, False, False),
    ],
)
def test_what_the_guard_did(site, options, detected, false_alarm, corrected):
    found = result(site, **options)
    assert found.effect in (("benign", "sdc1") if "changed" in options else ("masked",))
    attributes = (found.detected, found.false_alarm, found.corrected)
    assert attributes == (detected, false_alarm, corrected)
