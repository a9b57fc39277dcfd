"""Corrupted tensors through the rest of networks, against whole tensors of the golden model."""

import copy

import numpy as np
import pytest
import torch

from holdfast.base.errors import HoldfastError
from holdfast.fault.analysis.effect import Effect
from holdfast.fault.analysis.propagation import Logits, Propagator
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.golden import GoldenOutputs
from holdfast.nn.graph.guard_modes import GUARDS
from holdfast.nn.graph.reference import Reference
from holdfast.sim.machine.banks import stored_after
from holdfast.sim.machine.schedule import Schedule
from tests.fault.tiny import CONFIG as TINY
from tests.fault.tiny import graph, images, program
from tests.sim.small_graphs import OPERATIONS, small_graph

CONFIG = AcceleratorConfig(
    rows=3, cols=3, act_depth=2048, weight_depth=1 << 14, acc_depth=64, param_depth=256,
    program_depth=512,
)  # fmt: skip


def after(program, golden, reference, effect):
    """The last tensor, violations and alarm behind an effect; every layer whole."""
    graph = program.graph
    stored = stored_after(program, effect.step)
    values = {}
    violations = {}

    def value(name):
        if name not in values:
            codes = reference.outputs[name].clone()
            if name in effect.tensors:
                index, faulty = effect.tensors[name]
                codes.view(-1)[torch.from_numpy(index)] = torch.from_numpy(faulty)
            elif name not in stored:
                inputs = [value(source) for source in graph[name].inputs]
                result = GoldenOutputs()
                codes = graph[name].evaluate(golden, inputs, result)
                for kind in ("output_violations", "input_violations"):
                    if found := getattr(result, kind):
                        before = getattr(reference, kind)[name]
                        violations[kind, name] = int(found[name] - before)
            values[name] = codes
        return values[name]

    output = value(graph.nodes[-1].name).numpy().tobytes()
    return Logits(output, sum(violations.values()), any(v > 0 for v in violations.values()))


def effects_of(program, reference, draw, low=-128, high=127):
    """Of every step: in a corner, everywhere, in several tensors, and codes that stay."""
    result = []
    for step in program.steps:
        known = stored_after(program, step)
        for names in ([step.target], known[:1], known):
            for count in (1, 4, None):
                tensors = {}
                for name in names:
                    clean = reference.outputs[name].numpy().ravel()
                    size = min(count or len(clean), len(clean))
                    index = np.sort(draw.choice(len(clean), size, replace=False))
                    tensors[name] = index, draw.integers(low, high + 1, size).astype(np.int8)
                result.append(Effect(step, tensors))
        clean = reference.outputs[step.target].numpy().ravel()
        result.append(Effect(step, {step.target: (np.arange(2), clean[:2])}))
        result.append(Effect(step, {step.target: (np.arange(1), ~clean[:1])}))
    return result


def operations_and_guards():
    """All pairs; one guard of each operation is in the short run, another of the next."""
    guards = ["off", "bound", "zero"]
    for number, operation in enumerate(OPERATIONS):
        for shift, guard in enumerate(guards):
            marks = [pytest.mark.long] if (number + shift) % len(guards) else []
            yield pytest.param(operation, guard, marks=marks)


@pytest.mark.parametrize(("operation", "guard"), operations_and_guards())
def test_effects_of_every_step(operation, guard):
    seed = list(OPERATIONS).index(operation)
    graph, image = small_graph(CONFIG, seed, [operation, "conv"] if seed % 2 else [operation])
    try:
        program = compile_graph(graph, CONFIG)
    except HoldfastError:
        pytest.skip("has no place")
    golden = GUARDS[guard].golden(graph)
    reference = golden.run(torch.from_numpy(image.astype(np.int8))[None])
    effects = effects_of(program, reference, np.random.default_rng(seed))
    propagator = Propagator(program, None, golden, Reference.of(reference))
    wanted = [after(program, golden, reference, effect) for effect in effects]
    assert propagator.run([Effect(), *effects]) == [propagator.unchanged, *wanted]
    assert propagator.run(effects[::-1]) == wanted[::-1]
    assert propagator.computed == len({effect.key for effect in effects})


def test_small_batches(monkeypatch):
    golden = GUARDS["off"].golden(graph())
    reference = golden.run(images()[:1])
    effects = effects_of(program(), reference, np.random.default_rng(5))
    wanted = [after(program(), golden, reference, effect) for effect in effects]
    monkeypatch.setattr("holdfast.fault.analysis.propagation._CODES", 200)
    assert Propagator(program(), None, golden, Reference.of(reference)).run(effects) == wanted


def test_inputs_are_counted_as_often_as_they_are_fetched():
    """A code of b is read by all nine kernel positions of c, for each of two output tiles."""
    tight = copy.deepcopy(graph())
    tight["c"].input_hi = 100
    program = compile_graph(tight, TINY)
    golden = GUARDS["bound"].golden(tight)
    reference = golden.run(images()[:1])
    (step,) = (step for step in program.steps if step.target == "b")
    clean = reference.outputs["b"].numpy().ravel()
    middle = next(i for i in np.flatnonzero(clean <= 100) if {i % 16 // 4, i % 4} <= {1, 2})
    effect = Effect(step, {"b": (np.array([middle]), np.array([127], np.int8))})
    kept = Reference.of(reference)
    once = Propagator(program, None, golden, kept).run([effect])[0]
    fetched = Propagator(program, Schedule(program), golden, kept).run([effect])[0]
    assert once.output == fetched.output and once.alarmed and fetched.alarmed
    assert fetched.counts - once.counts == 9 * 2 - 1
