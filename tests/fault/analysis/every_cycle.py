"""Upsets of bits in all cycles of an inference, by RTL, beside what a closed form says of them."""

from typing import NamedTuple

import numpy as np

from holdfast.fault.campaign.engine import Engine
from holdfast.fault.injection.session import RtlSession
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.guard_modes import GUARD_OFF
from holdfast.nn.graph.pixels import image_codes
from holdfast.sim.machine.banks import tensor
from holdfast.sim.netlist.accelerator import accelerator_netlist
from tests.random_graph import random_graph


class Seen(NamedTuple):
    """Upsets that were compared, those of them that changed the layer, and those left to RTL."""

    checked: int
    changed: int
    skipped: int


def engine_of(config, net, guard=GUARD_OFF, **bits):
    """An engine of a network with random weights, and a random image."""
    program = compile_graph(random_graph(net, seed=5, **bits), config)
    pixels = np.random.default_rng(1).integers(0, 256, (1, *net.input_shape), np.uint8)
    codes = image_codes(pixels, config.act_bits)[0].numpy()
    inference = RtlSession(program, accelerator_netlist(config), guard, 16)
    return Engine(inference, codes, inference.record(codes))


def bits_of(engine, role):
    registers = [ff for ff in engine.inference.netlist.flip_flops if ff.held.role is role]
    return [(register.name, bit) for register in registers for bit in range(register.width)]


def stored(engine, run, after):
    """The layer's output as it lies in the activation memories, after some more cycles."""
    program, model, target = engine.program, engine.inference.model, run.step.target
    model.step(after)
    bank, lanes = program.places[target].bank, program.config.word_lanes
    banks = np.zeros((program.config.act_banks, 64, lanes), np.int8)
    for lane in range(lanes):
        banks[bank, :, lane] = model.read_memory(f"activations_{bank}__lane_{lane}").view(np.int8)
    return tensor(program, target, banks).ravel()


def compare(engine, analysis, bits, left_to_rtl):
    """Asserts that what is stored is what the analysis says; the fourth argument checks the rest:
    it gets the run and the bit."""
    inference, model = engine.inference, engine.inference.model
    checked = changed = skipped = 0
    for run in inference.schedule.runs:
        clean = engine.memories.layers.golden[run.step.target].ravel()
        for cycle in range(run.fetch, run.end):
            inference.lockstep.load(cycle)
            here = model.snapshot()
            for name, bit in bits:
                effect = analysis.effect(name, bit, cycle)
                if effect is None:
                    assert left_to_rtl(run, bit), (name, bit, cycle)
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
    return Seen(checked, changed, skipped)
