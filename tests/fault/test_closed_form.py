"""Closed forms against the RTL: all bits in all cycles of a layer, on 3x2 and 4x4 arrays."""

import numpy as np
import pytest

from holdfast.fault.analysis.registers import RegisterFaultAnalysis
from holdfast.fault.campaign.engine import Engine
from holdfast.fault.injection.session import RtlSession
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.roles import Role
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.guard_modes import GUARD_OFF
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.networks.random_graph import random_graph
from holdfast.nn.networks.spec import Network
from holdfast.sim.machine.banks import tensor
from holdfast.sim.netlist.accelerator import accelerator_netlist

COVERED = (
    Role.PE_ACTIVATION, Role.PE_PRODUCT, Role.PE_PARTIAL_SUM, Role.PE_WEIGHT, Role.PE_SHADOW,
    Role.ARRAY_SKEW, Role.INPUT_WORD, Role.INPUT_VECTOR, Role.WEIGHT_ROW, Role.ACCUMULATOR_READ,
    Role.ACCUMULATOR_FETCHED, Role.ACCUMULATOR_STORED, Role.ACCUMULATOR_ADDEND,
    Role.ACCUMULATOR_TOTAL,
)  # fmt: skip


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


@pytest.mark.parametrize(("rows", "cols", "channels", "kernel"), [(3, 2, 2, 3), (4, 4, 6, 1)])
def test_all_bits_in_all_cycles(rows, cols, channels, kernel):
    engine = engine_of(rows, cols, channels, kernel)
    inference = engine.inference
    program, model = inference.program, inference.model
    form = RegisterFaultAnalysis(engine._memory_faults)
    registers = [ff for ff in inference.netlist.flip_flops if ff.held.role in COVERED]
    lanes = range(program.config.word_lanes)
    for run in inference.schedule.runs:
        target = run.step.target
        bank = program.places[target].bank
        clean = engine.propagator.reference.outputs[target][0].numpy().ravel()
        checked = changed = 0
        for cycle in range(run.fetch, run.end):
            inference.lockstep.load(cycle)
            here = model.snapshot()
            for register in registers:
                for bit in range(register.width):
                    effect = form.resolve(register.name, bit, cycle)
                    if effect is None:
                        # A single pixel's sum stays in its register.
                        assert run.chained and register.held.role is Role.ACCUMULATOR_TOTAL
                        continue
                    model.restore(here)
                    model.flip(register.name, bit)
                    model.step(run.end - cycle)
                    banks = np.zeros((program.config.act_banks, 64, len(lanes)), np.int8)
                    for lane in lanes:
                        words = model.read_memory(f"activations_{bank}__lane_{lane}")
                        banks[bank, :, lane] = words.view(np.int8)
                    expected = clean.copy()
                    if target in effect.tensors:
                        indices, codes = effect.tensors[target]
                        expected[indices] = codes
                    found = tensor(program, target, banks).ravel()
                    assert np.array_equal(found, expected), (register.name, bit, cycle)
                    checked += 1
                    changed += not np.array_equal(found, clean)
        if not run.chained:
            bits = sum(register.width for register in registers)
            assert checked == bits * (run.end - run.fetch)
        assert changed > checked // 50
