"""A network of cells, as architecture search finds them, on the compiled engine."""

import numpy as np
import pytest

from gen.config import AcceleratorConfig
from nn.genotype import cell_network
from nn.pixels import image_codes
from nn.program import compile_graph
from nn.random_graph import random_graph
from nn.zoo import WFTT
from sim.accelerator import accelerator_netlist
from sim.cycles import step_cycles
from sim.driver import Accelerator
from sim.fast import FastModel
from sim.fast_bus import FastBus
from tests import reference


@pytest.mark.parametrize(
    "config",
    [
        AcceleratorConfig(rows=4, cols=3, weight_depth=4096, act_depth=8192, program_depth=1024),
        AcceleratorConfig(rows=4, cols=4, multiplier_bits=0, act_bits=6, act_banks=3,
                          act_depth=4096, weight_depth=32768, param_depth=2048,
                          program_depth=1024, rounding="floor"),
    ],
    ids=["streamed", "no multipliers"],
)  # fmt: skip
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
    model = FastModel(accelerator_netlist(config))
    model.reset()
    host = Accelerator(FastBus(model))
    host.load(program)
    np.testing.assert_array_equal(host.run(codes)[0], expected)
    counters = host.counters()
    predicted = sum(sum(step_cycles(program, step).values()) for step in program.steps)
    assert counters["cycles"] - counters["stall_host"] == predicted
