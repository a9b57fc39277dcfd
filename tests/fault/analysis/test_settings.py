"""Upsets of what a held descriptor tells the requantizers, against the RTL: all bits and cycles."""

from functools import cache

import numpy as np
import pytest

from holdfast.fault.analysis.settings import SettingsAnalysis
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import Site
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import DESCRIPTOR
from holdfast.nn.networks.spec import Network
from tests.fault.analysis.every_cycle import engine_of, stored

ARRAYS = {"3x2": (3, 2, False), "4x4": (4, 4, False), "3x2 with bounds": (3, 2, True)}
FIELDS = (
    "lo", "hi", "res_zero", "add_multiplier_a", "add_multiplier_b", "add_shift", "add_zero",
    "add_lo", "add_hi", "res_tiles",
)  # fmt: skip


@cache
def proof(rows, cols, bounds):
    config = AcceleratorConfig(
        rows=rows, cols=cols, act_depth=64, weight_depth=128, acc_depth=16, param_depth=32,
        program_depth=8, guard=bounds,
    )  # fmt: skip
    net = Network("proof", input_shape=(cols, 3, 3))
    a = net.conv("a", "image", cols + 1, 1)
    b = net.conv("b", a, cols + 1, 1, activation="none")
    net.dense("logits", net.add("c", b, a), 3)
    return engine_of(config, net)


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("name", FIELDS)
def test_all_bits_of_a_field_in_all_cycles(array, name):
    engine = proof(*array)
    inference, model = engine.inference, engine.inference.model
    analysis = SettingsAnalysis(engine.memories.layers, inference.netlist.held)
    field = next(field for field in DESCRIPTOR if field.name == name)
    changed = checked = 0
    for run in inference.schedule.runs:
        clean = engine.memories.layers.golden[run.step.target].ravel()
        end = max(other.end for other in inference.schedule.runs if other.step is run.step)
        for cycle in range(int(run.start[0]), run.end):
            inference.lockstep.load(cycle)
            here = model.snapshot()
            for bit in range(field.offset, field.offset + field.width):
                word = f"sequencer__word_{field.word}"
                model.restore(here)
                model.flip(word, bit)
                found, expected = stored(engine, run, end - cycle), clean.copy()
                if model.read("sequencer__status"):
                    # The residual is read outside its memory.
                    assert name == "res_tiles"
                    continue
                effect = analysis.effect(word, bit, cycle)
                indices, codes = effect.tensors.get(run.step.target, ([], []))
                expected[indices] = codes
                assert np.array_equal(found, expected), (run.step.name, bit, cycle)
                checked += 1
                changed += not np.array_equal(found, clean)
    assert checked and changed


def test_other_fields_and_the_fetch_are_not_covered():
    engine = proof(3, 2, False)
    analysis = SettingsAnalysis(engine.memories.layers, engine.inference.netlist.held)
    run = engine.inference.schedule.runs[1]
    for field in DESCRIPTOR:
        effect = analysis.effect(f"sequencer__word_{field.word}", field.offset, int(run.start[0]))
        assert (effect is not None) == (field.name in FIELDS), field.name
        early = analysis.effect(f"sequencer__word_{field.word}", field.offset, run.fetch + 1)
        assert early is None


def test_narrow_codes_and_residuals_of_fewer_tiles_as_in_plain_rtl():
    """Values that are no codes of five bits, and residual tiles behind the last that there is."""
    config = AcceleratorConfig(
        rows=3, cols=2, act_bits=5, weight_bits=5, act_depth=64, weight_depth=256, acc_depth=16,
        param_depth=32, program_depth=8, guard=False, multiplier_bits=8, acc_bits=20,
    )  # fmt: skip
    net = Network("narrow", input_shape=(2, 3, 3))
    a = net.conv("a", "image", 2, 1)
    b = net.conv("b", net.conv("wide", a, 4, 3), 6, 1, activation="none")
    net.dense("logits", net.add("c", b, net.shortcut("s", a, 6, 1)), 3)
    engine = engine_of(config, net, act_bits=5, weight_bits=5, multiplier_bits=8)
    inference = engine.inference
    assert any(
        d.residual and d.res_tiles < d.co_tiles
        for step in engine.program.steps
        for d in step.descriptors
    )
    faults = [
        Fault((Site(f"sequencer__word_{field.word}", None, bit),), int(run.start[0]) + late)
        for field in DESCRIPTOR
        if field.name in FIELDS
        for bit in range(field.offset, field.offset + field.width)
        for run in inference.schedule.runs
        for late in (0, (run.end - int(run.start[0])) // 2)
    ]
    outcomes = engine.run(faults)
    wrong = [f for f, o in zip(faults, outcomes, strict=True) if not o.agrees(engine.plain(f))]
    assert not wrong
    assert {"closed", "window"} <= {outcome.path for outcome in outcomes}
