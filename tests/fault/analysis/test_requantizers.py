"""Upsets of biases and multipliers in the lanes against the RTL: all bits in all cycles."""

import numpy as np
import pytest

from holdfast.fault.analysis.requantizers import RequantizerAnalysis
from holdfast.gen.roles import Role
from tests.fault.analysis.test_registers import LAYERS, engine_of, stored


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("role", [Role.LANE_BIAS, Role.LANE_PARAMETERS], ids=["bias", "parameters"])
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_all_bits_of_a_role_in_all_cycles(layer, role):
    engine = engine_of(*layer)
    inference, model = engine.inference, engine.inference.model
    analysis = RequantizerAnalysis(engine.memories.layers, inference.netlist.held)
    registers = [ff for ff in inference.netlist.flip_flops if ff.held.role is role]
    bits = [(register.name, bit) for register in registers for bit in range(register.width)]
    changed = checked = 0
    for run in inference.schedule.runs:
        clean = engine.memories.layers.golden[run.step.target].ravel()
        for cycle in range(run.fetch, run.end):
            inference.lockstep.load(cycle)
            here = model.snapshot()
            for name, bit in bits:
                effect = analysis.effect(name, bit, cycle)
                if effect is None:
                    # The shift is for RTL.
                    assert role is Role.LANE_PARAMETERS and bit < 6
                    continue
                model.restore(here)
                model.flip(name, bit)
                found, expected = stored(engine, run, run.end - cycle), clean.copy()
                indices, codes = effect.tensors.get(run.step.target, ([], []))
                expected[indices] = codes
                assert np.array_equal(found, expected), (name, bit, cycle)
                checked += 1
                changed += not np.array_equal(found, clean)
    assert checked > len(bits) * inference.schedule.cycles * 2 // 3
    assert changed > checked // 200
