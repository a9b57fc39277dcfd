"""Upsets of registers against the RTL: all bits in all cycles of a layer, on 3x2 and 4x4 arrays."""

from functools import cache

import numpy as np
import pytest

from holdfast.fault.analysis.registers import RegisterFaultAnalysis
from holdfast.fault.campaign.engine import Engine
from holdfast.fault.injection.session import RtlSession
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import Site
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.roles import Role
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.guard_modes import GUARD_OFF
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.networks.spec import Network
from holdfast.sim.machine.banks import tensor
from holdfast.sim.netlist.accelerator import accelerator_netlist
from tests.random_graph import random_graph

COVERED = (
    Role.PE_ACTIVATION, Role.PE_PRODUCT, Role.PE_PARTIAL_SUM, Role.PE_WEIGHT, Role.PE_SHADOW,
    Role.ARRAY_SKEW, Role.INPUT_WORD, Role.INPUT_VECTOR, Role.WEIGHT_ROW, Role.ACCUMULATOR_READ,
    Role.ACCUMULATOR_FETCHED, Role.ACCUMULATOR_STORED, Role.ACCUMULATOR_ADDEND,
    Role.ACCUMULATOR_TOTAL,
)  # fmt: skip
WEIGHTS = (Role.PE_WEIGHT, Role.PE_SHADOW, Role.WEIGHT_ROW)
LAYERS = {"3x3 kernel on 3x2": (3, 2, 2, 3), "1x1 kernel on 4x4": (4, 4, 6, 1)}


@cache
def engine_of(rows, cols, channels, kernel):
    config = AcceleratorConfig(
        rows=rows, cols=cols, act_depth=64, weight_depth=128, acc_depth=16, param_depth=16,
        program_depth=2, guard=False,
    )  # fmt: skip
    net = Network("proof", input_shape=(channels, 3, 3))
    layer = net.conv("layer", "image", cols + 1, kernel)
    net.dense("logits", layer, 3)
    graph = random_graph(net, seed=5)
    program = compile_graph(graph, config)
    pixels = np.random.default_rng(1).integers(0, 256, (1, channels, 3, 3), np.uint8)
    codes = image_codes(pixels, 8)[0].numpy()
    inference = RtlSession(program, accelerator_netlist(config), GUARD_OFF, 16)
    return Engine(inference, codes, inference.record(codes))


def stored(engine, run, after):
    """The layer's output as it lies in the activation memories, after some more cycles."""
    program, model, target = engine.program, engine.inference.model, run.step.target
    model.step(after)
    bank, lanes = program.places[target].bank, program.config.word_lanes
    banks = np.zeros((program.config.act_banks, 64, lanes), np.int8)
    for lane in range(lanes):
        banks[bank, :, lane] = model.read_memory(f"activations_{bank}__lane_{lane}").view(np.int8)
    return tensor(program, target, banks).ravel()


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("role", COVERED, ids=lambda role: role.name.lower())
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_all_bits_of_a_role_in_all_cycles(layer, role):
    engine = engine_of(*layer)
    inference, model = engine.inference, engine.inference.model
    analysis = RegisterFaultAnalysis(engine.memories.layers, inference.netlist.held)
    registers = [ff for ff in inference.netlist.flip_flops if ff.held.role is role]
    bits = [(register.name, bit) for register in registers for bit in range(register.width)]
    assert bits
    changed = checked = skipped = 0
    for run in inference.schedule.runs:
        clean = engine.memories.layers.golden[run.step.target].ravel()
        for cycle in range(run.fetch, run.end):
            inference.lockstep.load(cycle)
            here = model.snapshot()
            for name, bit in bits:
                effect = analysis.effect(name, bit, cycle)
                if effect is None:
                    # A single pixel's sum stays in its register. What a weight behind the last of
                    # five channels meets is for RTL.
                    assert run.step.name == "logits"
                    assert role is Role.ACCUMULATOR_TOTAL or (role in WEIGHTS and layer[0] == 4)
                    skipped += 1
                    continue
                model.restore(here)
                model.flip(name, bit)
                found, expected = stored(engine, run, run.end - cycle), clean.copy()
                indices, codes = effect.tensors.get(run.step.target, ([], []))
                expected[indices] = codes
                assert np.array_equal(found, expected), (name, bit, cycle)
                checked += 1
                changed += not np.array_equal(found, clean)
    cycles = {run.step.name: run.end - run.fetch for run in inference.schedule.runs}
    assert checked + skipped == len(bits) * sum(cycles.values())
    assert checked >= len(bits) * cycles["layer"]
    assert skipped <= len(bits) * cycles["logits"] // (1 if role not in WEIGHTS else 2)
    assert changed > checked // 200


def test_weights_of_lanes_behind_the_last_channel():
    """Without learnt bounds nothing fills them: they hold what was there before."""
    config = AcceleratorConfig(
        rows=3, cols=2, act_depth=64, weight_depth=128, acc_depth=16, param_depth=32,
        program_depth=8, guard=False,
    )  # fmt: skip
    net = Network("behind", input_shape=(2, 3, 3))
    b = net.conv("b", net.conv("a", "image", 4, 1), 2, 1)
    net.dense("logits", b, 3)
    program = compile_graph(random_graph(net, seed=5), config)
    assert program.places["a"].lanes == (0, 1, 2, 3, -1, -1)
    pixels = np.random.default_rng(1).integers(0, 256, (1, 2, 3, 3), np.uint8)
    codes = image_codes(pixels, 8)[0].numpy()
    inference = RtlSession(program, accelerator_netlist(config), GUARD_OFF, 16)
    engine = Engine(inference, codes, inference.record(codes))
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
