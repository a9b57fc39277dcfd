"""Upsets of biases and multipliers in the lanes against the RTL: all bits in all cycles."""

import pytest

from holdfast.fault.analysis.requantizers import RequantizerAnalysis
from holdfast.gen.roles import Role
from tests.fault.analysis.every_cycle import bits_of, compare
from tests.fault.analysis.test_registers import LAYERS, proof


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("role", [Role.LANE_BIAS, Role.LANE_PARAMETERS], ids=["bias", "parameters"])
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_all_bits_of_a_role_in_all_cycles(layer, role):
    engine = proof(*layer)
    inference, bits = engine.inference, bits_of(engine, role)
    analysis = RequantizerAnalysis(engine.memories.layers, inference.netlist.held)

    def is_shift(_, bit):
        return role is Role.LANE_PARAMETERS and bit < 6

    seen = compare(engine, analysis, bits, is_shift)
    assert seen.checked > len(bits) * inference.schedule.cycles * 2 // 3
    assert seen.changed > seen.checked // 200
