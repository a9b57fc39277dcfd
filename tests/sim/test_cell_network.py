"""A network of cells, as architecture search finds them, on the compiled engine."""

import numpy as np
import pytest

from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.networks.genotype import cell_network
from holdfast.nn.networks.zoo import WFTT
from holdfast.sim.compiled.build import build_compiled
from holdfast.sim.compiled.bus import CompiledBus
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.driver import Accelerator
from holdfast.sim.layers import GoldenRun, run_layers
from holdfast.sim.machine.cycles import step_cycles
from holdfast.sim.netlist.accelerator import accelerator_netlist
from tests import reference
from tests.random_graph import random_graph

STREAMED = AcceleratorConfig(
    rows=4, cols=3, weight_depth=4096, act_depth=8192, program_depth=1024
)  # fmt: skip
RESIDENT = AcceleratorConfig(
    rows=4, cols=4, multiplier_bits=0, act_bits=6, act_banks=3, act_depth=4096, weight_depth=32768,
    param_depth=2048, program_depth=1024, rounding="floor",
)  # fmt: skip


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("config", [STREAMED, RESIDENT], ids=["streamed", "no multipliers"])
def test_all_primitives(config):
    """Normal cell and two of stride 2; logits of the NumPy reference, cycles of the model."""
    spec = cell_network("cells", WFTT, 4, 3, (3, 8, 8))
    graph = random_graph(
        spec, 7, config.act_bits, config.weight_bits, config.multiplier_bits, config.rounding
    )
    program = compile_graph(graph, config)
    assert program.resident == (config.multiplier_bits == 0)
    pixels = np.random.default_rng(8).integers(0, 256, (1, 3, 8, 8)).astype(np.uint8)
    codes = image_codes(pixels, config.act_bits).numpy()
    expected = reference.run(graph, codes[0])["logits"].ravel()
    assert len(set(expected.tolist())) > 5
    model = CompiledModel(accelerator_netlist(config))
    model.reset()
    host = Accelerator(CompiledBus(model))
    host.load(program)
    np.testing.assert_array_equal(host.run(codes)[0], expected)
    counters = host.counters()
    predicted = sum(sum(step_cycles(program, step).values()) for step in program.steps)
    assert counters["cycles"] - counters["stall_host"] == predicted


@pytest.mark.long
def test_every_step_is_compared_where_it_writes():
    """A part of a concatenation writes its own channels."""
    config = RESIDENT
    graph = random_graph(cell_network("cells", WFTT, 4, 1, (3, 8, 8)), 7, 6, 8, 0, "floor")
    program = compile_graph(graph, config)
    codes = image_codes(np.zeros((1, 3, 8, 8), np.uint8) + 77, 6).numpy()
    tensors = {name: codes[None] for name, codes in reference.run(graph, codes[0]).items()}
    whole = [node for node in graph.nodes if node.op == "concat"][-1]
    sizes = [graph[name].shape[0] for name in whole.inputs]
    assert len(sizes) > 2

    build = build_compiled(accelerator_netlist(config))
    runs = run_layers(build, program, GoldenRun(codes, tensors))
    assert [run.mismatches for run in runs] == [0] * len(program.steps)
    parts = [run for run in runs if run.name.rpartition(".")[0] == whole.name]
    assert [run.shape[0] for run in parts] == sizes
    assert sum(run.outputs for run in parts) == tensors[whole.name].size

    # One wrong code in the second part is seen there, and by what reads it.
    wrong = tensors[whole.name].copy()
    wrong[0, sizes[0], 0, 0] ^= 1
    steps = [step for step in program.steps if step.target == whole.name]
    golden = GoldenRun(codes, tensors | {whole.name: wrong})
    runs = run_layers(build, program, golden, steps=steps)
    assert [run.mismatches for run in runs] == [0, 1] + [0] * (len(sizes) - 2)
