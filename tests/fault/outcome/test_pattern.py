"""Recorded patterns against the RTL's memories and the independent reference."""

from functools import cache

import numpy as np
import pytest

from holdfast.fault.campaign.engine import Engine
from holdfast.fault.injection.session import RtlSession
from holdfast.fault.model.space import FaultSpace
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARD_ON
from holdfast.nn.networks.spec import Network
from holdfast.sim.machine.banks import tensor
from tests import reference
from tests.fault.campaign.test_engine import drawn
from tests.fault.tiny import CONFIG, images, netlist
from tests.random_graph import random_graph


@cache
def graph():
    net = Network("patterns", input_shape=(3, 4, 4))
    a = net.conv("a", "image", 4, 3)
    # A residual addition that is part of a convolution's step, and one that is a step of its own.
    b = net.conv("b0", a, 4, 1)
    b = net.conv("b", b, 4, 3, activation="none")
    c = net.add("c", b, a)
    f = net.conv("f", c, 4, 1)
    c = net.add("g", f, c)
    d = net.conv("d", c, 2, 3, 2)
    e = net.pool("avgpool", "e", d, 2, 2)
    net.dense("logits", e, 4)
    return random_graph(net, seed=3)


@cache
def engine(guard):
    inference = RtlSession(compile_graph(graph(), CONFIG), netlist(), guard, 16)
    codes = images()[0].numpy()
    return Engine(inference, codes, inference.record(codes), patterns=True)


@cache
def golden(guard):
    found = guard.golden(graph()).run(images()[:1])
    return {name: codes[0].numpy() for name, codes in found.outputs.items()}


def stored_after(upset, step):
    """Codes of the step's target once it has run with the upset, from the RTL's memories."""
    inference = engine(GUARD_OFF).inference
    inference.golden = engine(GUARD_OFF)._trace
    program, model = inference.program, inference.model
    inference.lockstep.load(upset.cycle)
    ((name, word, bit),) = upset.bits
    model.flip(name, bit, word or 0)
    end = max(run.end for run in inference.schedule.runs if run.step is step)
    model.step(end - upset.cycle)
    cfg = program.config
    banks = np.zeros((cfg.act_banks, cfg.act_depth, cfg.word_lanes), np.int8)
    for bank in range(cfg.act_banks):
        for lane in range(cfg.word_lanes):
            words = model.read_memory(f"activations_{bank}__lane_{lane}")
            banks[bank, :, lane] = words.view(np.int8)
    return tensor(program, step.target, banks)


def sums(node, values):
    """The layer's sums by the independent reference."""
    x = values[node.inputs[0]]
    if node.op == "avgpool":
        centred = x.astype(np.int64) - graph()[node.inputs[0]].zero_point
        total = sum(reference._windows(centred, node.kernel, node.stride))
        return total
    zero = graph()[node.inputs[0]].zero_point
    return reference.convolve(
        x, node.weight, node.bias, node.stride, node.padding, node.dilation, node.groups, zero
    )


def made_of(acc, node, gain):
    """Codes that a node makes of sums, by the reference; the multiplier times ``gain``."""
    if gain == 1:
        v = reference.requantize(
            acc, node.multiplier, node.shift, node.zero_point, "half_up", graph().multiplier_bits
        )
    else:
        factor = np.broadcast_to(node.multiplier, acc.shape[:1]).reshape(-1, 1, 1) * float(gain)
        shift = np.broadcast_to(node.shift, acc.shape[:1]).reshape(-1, 1, 1)
        v = np.floor(acc * factor / 2.0**shift + 0.5) + node.zero_point
    return np.clip(v, node.lo, node.hi).astype(np.int64)


STRUCTURES = ("pe_activation", "weight", "partial_sum", "skew", "accumulators", "requantizer",
              "weight_memory", "parameter_memory")  # fmt: skip


@pytest.mark.parametrize("structure", STRUCTURES)
def test_patterns_are_what_the_rtl_leaves(structure):
    space, values = FaultSpace.of(netlist()), golden(GUARD_OFF)
    program = engine(GUARD_OFF).program
    # Of the memories only the words in use: most of the others are never read.
    upsets = drawn(space, structure, engine(GUARD_OFF).inference.golden.cycles, 900, structure)
    if structure == "parameter_memory":
        upsets = [upset for upset in upsets if (upset.site.address or 0) < 24]
    if structure == "weight_memory":
        upsets = [u for u in upsets if (u.site.address or 0) < len(program.chunks[0].weights)]
    results = engine(GUARD_OFF).run(upsets)
    seen, steps = {"sum": 0, "code": 0}, set()
    for upset, result in zip(upsets, results, strict=True):
        pattern = result.pattern
        if pattern is None:
            assert result.effect in ("masked", "latent") or result.path == "end"
            continue
        step = next(s for s in program.steps if pattern.tensor in (s.nodes[0], s.target))
        steps.add(step.nodes)
        found = stored_after(upset, step).astype(np.int64)
        expected = values[step.target].astype(np.int64)
        elements = np.unravel_index(pattern.elements, expected.shape)
        assert (np.diff(pattern.elements) > 0).all()
        if pattern.domain == "code":
            assert pattern.tensor == step.target
            assert np.array_equal(expected[elements], pattern.golden)
            expected[elements] = pattern.faulty
            assert np.array_equal(found, expected), upset
            assert (pattern.golden != pattern.faulty).all()
        else:
            node = graph()[pattern.tensor]
            acc = sums(node, values)
            assert np.array_equal(acc[elements], pattern.golden), upset
            acc[elements] = pattern.faulty
            codes = made_of(acc, node, pattern.gain)
            if pattern.gain != 1:
                # Elements that no pattern names keep their multiplier.
                untouched = np.ones(acc.shape, bool)
                untouched[elements] = False
                codes[untouched] = values[node.name].astype(np.int64)[untouched]
            if step.target != node.name:
                add = graph()[step.target]
                left, right = (graph()[name] for name in add.inputs)
                assert left.name == node.name
                codes = reference.add(
                    codes, values[right.name], left.zero_point, right.zero_point,
                    add.multiplier_a, add.multiplier_b, add.shift, add.zero_point, add.lo,
                    add.hi, "half_up",
                )  # fmt: skip
            assert np.array_equal(found, codes), upset
        seen[pattern.domain] += 1
    assert sum(seen.values()) > 10
    assert {("b", "c"), ("g",)} < {step.nodes for step in program.steps}
    assert len(steps) > 4
    if structure not in ("requantizer", "skew"):
        assert seen["sum"] > 10


def test_behind_the_guard():
    """With the guard on, codes of a pattern are what the guard has let through."""
    space = FaultSpace.of(netlist())
    upsets = drawn(space, "requantizer", engine(GUARD_ON).inference.golden.cycles, 1500, 2)
    checked = 0
    for result in engine(GUARD_ON).run(upsets):
        pattern = result.pattern
        if pattern is not None and pattern.domain == "code":
            node = graph()[pattern.tensor]
            assert node.lo <= pattern.faulty.min() and pattern.faulty.max() <= node.hi
            checked += 1
    assert checked


def test_without_the_option_nothing_is_kept():
    inference = engine(GUARD_OFF).inference
    plain = Engine(inference, images()[0].numpy(), engine(GUARD_OFF)._trace)
    upsets = drawn(FaultSpace.of(netlist()), "weight", 1000, 40, 1)
    results = plain.run(upsets)
    assert all(result.pattern is None for result in results)
    assert results == engine(GUARD_OFF).run(upsets)
