"""Upsets of registers against the RTL: all bits in all cycles of a layer, on 3x2 and 4x4 arrays."""

from functools import cache

import pytest

from holdfast.fault.analysis.registers import RegisterFaultAnalysis
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import Site
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.roles import Role
from holdfast.nn.networks.spec import Network
from tests.fault.analysis.every_cycle import bits_of, compare, engine_of

COVERED = (
    Role.PE_ACTIVATION, Role.PE_PRODUCT, Role.PE_PARTIAL_SUM, Role.PE_WEIGHT, Role.PE_SHADOW,
    Role.ARRAY_SKEW, Role.INPUT_WORD, Role.INPUT_VECTOR, Role.WEIGHT_ROW, Role.ACCUMULATOR_READ,
    Role.ACCUMULATOR_FETCHED, Role.ACCUMULATOR_STORED, Role.ACCUMULATOR_ADDEND,
    Role.ACCUMULATOR_TOTAL,
)  # fmt: skip
WEIGHTS = (Role.PE_WEIGHT, Role.PE_SHADOW, Role.WEIGHT_ROW)
LAYERS = {"3x3 kernel on 3x2": (3, 2, 2, 3), "1x1 kernel on 4x4": (4, 4, 6, 1)}


@cache
def proof(rows, cols, channels, kernel):
    config = AcceleratorConfig(
        rows=rows, cols=cols, act_depth=64, weight_depth=128, acc_depth=16, param_depth=32,
        program_depth=8, guard=False,
    )  # fmt: skip
    net = Network("proof", input_shape=(channels, 3, 3))
    layer = net.conv("layer", "image", cols + 1, kernel)
    net.dense("logits", layer, 3)
    return engine_of(config, net)


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("role", COVERED, ids=lambda role: role.name.lower())
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_all_bits_of_a_role_in_all_cycles(layer, role):
    engine = proof(*layer)
    inference, bits = engine.inference, bits_of(engine, role)
    analysis = RegisterFaultAnalysis(engine.memories.layers, inference.netlist.held)
    assert bits

    def left_to_rtl(run, _):
        # A single pixel's sum stays in its register. What a weight behind the last of five
        # channels meets is for RTL.
        total = role is Role.ACCUMULATOR_TOTAL or (role in WEIGHTS and layer[0] == 4)
        return run.step.name == "logits" and total

    seen = compare(engine, analysis, bits, left_to_rtl)
    cycles = {run.step.name: run.end - run.fetch for run in inference.schedule.runs}
    assert seen.checked + seen.skipped == len(bits) * sum(cycles.values())
    assert seen.checked >= len(bits) * cycles["layer"]
    assert seen.skipped <= len(bits) * cycles["logits"] // (1 if role not in WEIGHTS else 2)
    assert seen.changed > seen.checked // 200


def test_weights_of_lanes_behind_the_last_channel():
    """Without learnt bounds nothing fills them: they hold what was there before."""
    config = AcceleratorConfig(
        rows=3, cols=2, act_depth=64, weight_depth=128, acc_depth=16, param_depth=32,
        program_depth=8, guard=False,
    )  # fmt: skip
    net = Network("behind", input_shape=(2, 3, 3))
    b = net.conv("b", net.conv("a", "image", 4, 1), 2, 1)
    net.dense("logits", b, 3)
    engine = engine_of(config, net)
    inference = engine.inference
    assert engine.program.places["a"].lanes == (0, 1, 2, 3, -1, -1)
    run = inference.schedule.runs[1]
    faults = [
        Fault((Site(register.name, None, 5),), cycle)
        for register in inference.netlist.flip_flops
        if register.held.role in (Role.PE_WEIGHT, Role.PE_SHADOW)
        for cycle in range(run.fetch, run.end)
    ]
    first = run.descriptor.weight_base
    faults += [
        Fault((Site(f"weights__lane_{col}", word, 5),), run.fetch)
        for col in range(2)
        for word in range(first, first + 2 * config.rows)
    ]
    outcomes = engine.run(faults)
    assert all(o.agrees(engine.plain(f)) for f, o in zip(faults, outcomes, strict=True))
    assert any(o.path == "window" and o.counts == 0 and o.effect != "masked" for o in outcomes)
