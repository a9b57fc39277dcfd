"""Random small networks on random accelerators: whole programs on the compiled engine.

result = run_networks(random_config(3), count=40, seed=3)
"""

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from gen.config import ROUNDINGS, AcceleratorConfig
from gen.guard import fixed_bound
from nn.golden import Golden
from nn.program import compile_graph
from sim.accelerator import accelerator_netlist
from sim.cycles import step_cycles
from sim.driver import Accelerator
from sim.fast import FastModel
from sim.fast_bus import FastBus
from tests import reference
from tests.sim.small_graphs import OPERATIONS, small_graph

__all__ = ["RandomNetworks", "random_config", "run_networks"]


@dataclass
class RandomNetworks:
    """What some networks showed on one configuration.

    Attributes
    ----------
    outputs, mismatches : int
        Codes of last tensors compared, and how many differ from either reference.
    model_errors : int
        Networks whose cycles are not those of the cycle model; where weights are streamed, the
        cycles in which the array waited for the host are left out.
    streamed : int
        Networks whose weights did not fit.
    """

    config: dict[str, Any]
    networks: int = 0
    outputs: int = 0
    mismatches: int = 0
    cycles: int = 0
    model_errors: int = 0
    streamed: int = 0


def random_config(seed: int) -> AcceleratorConfig:
    """Any array, widths and rounding; memories just large enough for small networks."""
    draw = random.Random(seed)
    act_bits, weight_bits = draw.randint(2, 8), draw.randint(2, 8)
    rows, cols = draw.randint(1, 16), draw.randint(1, 16)
    return AcceleratorConfig(
        rows=rows,
        cols=cols,
        act_bits=act_bits,
        weight_bits=weight_bits,
        # Room for the sums of a few hundred products.
        acc_bits=min(32, act_bits + weight_bits + draw.randint(6, 12)),
        # Scales of fewer bits are too coarse for the networks that are drawn.
        multiplier_bits=draw.choice([0, 1, 1]) * draw.randint(8, 24),
        rounding=draw.choice(ROUNDINGS),
        guard=draw.random() < 0.7,
        learnt_bounds=draw.random() < 0.7,
        act_banks=draw.randint(2, 4),
        act_depth=2048,
        weight_depth=draw.choice([1 << 14, 1 << 16]),
        acc_depth=draw.choice([16, 24, 64]),
        param_depth=draw.choice([256, 1024]),
        program_depth=512,
    )


def run_networks(
    config: AcceleratorConfig,
    count: int,
    seed: int,
    on_network: Callable[[], None] = lambda: None,
) -> RandomNetworks:
    """Run networks of three random operations and a dense layer, guards on and off."""
    result = RandomNetworks(asdict(config))
    model = FastModel(accelerator_netlist(config))
    model.reset()
    host = Accelerator(FastBus(model))
    draw = random.Random(seed)
    for number in range(count):
        # One pixel ends everything else.
        operations = sorted(draw.sample(sorted(OPERATIONS), 3), key=lambda o: o == "one_pixel")
        graph, codes = small_graph(config, 1000 * seed + number, operations)
        output, inputs = (config.guard and draw.random() < 0.3 for _ in range(2))
        mode = draw.choice(["bound", "zero"])
        fixed = not config.learnt_bounds
        if fixed:
            inputs, mode = False, "zero"
        golden = Golden(
            graph,
            mode if output else None,
            mode if inputs else None,
            fixed_bound(graph.act_bits) if fixed else None,
        )
        last = graph.nodes[-1].name
        wanted = [
            golden.logits(torch.from_numpy(codes[None].astype(np.int8))).numpy().ravel(),
            reference.run(
                graph, codes, mode, check_input=inputs, check_output=output, fixed_bounds=fixed
            )[last].ravel(),
        ]
        program = compile_graph(graph, config)
        host.load(program)
        host.guard(output=output, input=inputs, zero=mode == "zero" and (output or inputs))
        found = host.run(codes.astype(np.int16)).ravel()
        counters = host.counters()
        predicted = sum(step_cycles(program, step).total() for step in program.steps)
        result.networks += 1
        result.outputs += found.size
        result.mismatches += int(((found != wanted[0]) | (found != wanted[1])).sum())
        result.cycles += counters["cycles"]
        result.model_errors += counters["cycles"] - counters["stall_host"] != predicted
        result.streamed += not program.resident
        on_network()
    return result
