"""The cycle model against the accelerator's own counters, layer by layer."""

import numpy as np
import pytest
import torch

from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.networks.spec import Network
from holdfast.sim.compiled.build import build_compiled
from holdfast.sim.layers import golden_run, run_layers
from holdfast.sim.machine.cycles import step_cycles
from holdfast.sim.machine.schedule import START_CYCLES
from holdfast.sim.netlist.accelerator import accelerator_netlist
from tests.random_graph import random_graph


def test_a_layer_that_fills_the_array_keeps_it_busy():
    net = Network("one", input_shape=(16, 32, 32))
    x = net.conv("conv", "image", 16, 3)
    net.dense("logits", net.pool("maxpool", "pool", x, 7, 7), 10)
    program = compile_graph(random_graph(net, seed=1), AcceleratorConfig())
    step = program.steps[0]
    assert step.macs == 16 * 32 * 32 * 16 * 9
    cycles = START_CYCLES + sum(step_cycles(program, step).values())
    assert step.macs / (cycles * 8 * 8) >= 0.95


def layers_of_every_kind():
    """Tiles with more pixels than the array has rows, as many, and a single one."""
    net = Network("kinds", input_shape=(3, 6, 6))
    wide = net.conv("wide", "image", 7, 3)
    strided = net.conv("strided", wide, 6, 3, stride=2)
    point = net.conv("point", strided, 6, 1, activation="none")
    both = net.add("both", point, strided)
    net.pool("maxpool", "largest", both, 2, 1)
    mean = net.pool("avgpool", "mean", "largest", 2, 2)
    net.dense("logits", mean, 10)
    return net


@pytest.mark.long(keep=1)
@pytest.mark.parametrize(("rows", "cols"), [(2, 3), (6, 2), (1, 1)])
def test_every_counter_of_every_layer(rows, cols):
    config = AcceleratorConfig(
        rows=rows, cols=cols, act_depth=512, weight_depth=2048, acc_depth=64, param_depth=64,
        program_depth=64, guard=False,
    )  # fmt: skip
    program = compile_graph(random_graph(layers_of_every_kind(), seed=1), config)
    assert program.resident
    codes = np.random.default_rng(1).integers(-128, 128, (1, 3, 6, 6)).astype(np.int8)
    build = build_compiled(accelerator_netlist(config))
    runs = run_layers(build, program, golden_run(program, torch.from_numpy(codes)))
    assert len(runs) == len(program.steps) > 5
    for run, step in zip(runs, program.steps, strict=True):
        predicted = step_cycles(program, step)
        assert (run.mismatches, run.spent) == (0, predicted), run.name
        assert run.cycles == START_CYCLES + predicted.total()
