"""What the closed forms take for a layer's sums and codes, against the golden model."""

from copy import deepcopy

import numpy as np
import pytest

from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.guard_modes import GUARDS, GuardSettings
from holdfast.nn.quantization.guard_bounds import learn_bounds
from holdfast.sim.machine.layer_values import LayerValues
from holdfast.sim.machine.schedule import Schedule
from tests.fault.tiny import CONFIG, FIXED, graph, images


def bounded(tighter):
    """The small network with bounds that its own image reaches, or surpasses."""
    made = deepcopy(graph())
    pixels = (images()[:1].numpy().astype(int) + 128).astype(np.uint8)
    learn_bounds(made, pixels)
    for node in made.weighted():
        node.guard_lo = node.guard_lo + tighter
        node.guard_hi = np.maximum(node.guard_hi - tighter, node.guard_lo)
    return made


@pytest.mark.parametrize("larger", [0, 4])
def test_codes_and_violations_with_fixed_bounds(larger):
    network = deepcopy(graph())
    for node in network.weighted():
        node.shift = np.maximum(node.shift - larger, 0)
    compare(compile_graph(network, FIXED), GUARDS["fixed"], larger > 0)


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("tighter", [0, 9])
def test_codes_and_violations(tighter, zero):
    guard = GuardSettings(output=True, input=True, zero=zero)
    compare(compile_graph(bounded(tighter), CONFIG), guard, tighter > 0)


def compare(program, guard, violates):
    """Every value of every layer with the golden model's."""
    result = guard.golden(program.graph).run(images()[:1])
    golden = {name: codes[0].numpy() for name, codes in result.outputs.items()}
    violations = 0
    for run in Schedule(program).runs:
        values = LayerValues(program, run, guard, golden)
        points = tuple(axis.ravel() for axis in np.indices(values.sums.shape))
        codes, bad = values.codes(points, values.sums.ravel())
        assert bad.sum() == sum(
            int(result.output_violations[name]) for name in run.step.nodes
            if name in result.output_violations
        )  # fmt: skip
        tau, pixel, column = points
        channel = tau * CONFIG.cols + column
        flat = golden[run.step.target].reshape(len(golden[run.step.target]), -1)
        real = channel < len(flat)
        assert np.array_equal(codes[real], flat[channel[real], pixel[real]]), run.step.name
        violations += int(bad.sum())
    assert (violations > 0) == violates
