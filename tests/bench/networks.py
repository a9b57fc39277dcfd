"""Whole networks on the compiled engine, exact and counted.

Every network runs as one program with one start; cycles are counted by the harness from the start
to the interrupt. Logits are compared with the golden model and with the independent NumPy
reference. Networks without shipped weights take seeded ones, and those whose weights do not fit
the weight memory are streamed by the host.
"""

import time
from typing import Any

import numpy as np

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.program import Program
from holdfast.nn.data.cifar import generated_images
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.graph import Graph
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.graph.shipped import load_network, shipped
from holdfast.sim.compiled.bus import CompiledBus
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.driver import Accelerator
from holdfast.sim.machine.cycles import step_cycles
from holdfast.sim.netlist.accelerator import accelerator_netlist
from tests import reference
from tests.random_graph import random_graph

_CODES = 1 << 18
"""Of one bank of the large memories."""


class Network:
    """A network, an image and its logits by both references."""

    def __init__(self, name: str):
        self.name = name
        self.graph = load_network(name) if f"{name}_int8" in shipped() else random_graph(name)
        codes = image_codes(generated_images(1, 1).images, self.graph.act_bits)
        self.codes = codes.numpy()
        self.golden = Golden(self.graph).logits(codes)[0].numpy()
        tensors = reference.run(self.graph, self.codes[0])
        self.reference = tensors[self.graph.nodes[-1].name].ravel()


def fit(graph: Graph, rows: int, cols: int) -> Program:
    """The network on an array with the default memories or, if it needs more, with large ones.

    No more than two netlists for each size have to be built.
    """
    need = max(graph.accumulator_bits(node) for node in graph.weighted())
    config = AcceleratorConfig(
        rows=rows,
        cols=cols,
        act_bits=graph.act_bits,
        weight_bits=graph.weight_bits,
        multiplier_bits=graph.multiplier_bits,
        rounding=graph.rounding,
        acc_bits=max(24, need),
    )
    try:
        return compile_graph(graph, config)
    except HoldfastError:
        large = config.with_(
            act_depth=_CODES // config.word_lanes, param_depth=1 << 14, program_depth=1 << 12
        )
        return compile_graph(graph, large)


def measure(network: Network, rows: int, cols: int) -> dict[str, Any]:
    """One image from start to interrupt; an entry of the JSON."""
    graph = network.graph
    program = fit(graph, rows, cols)
    model = CompiledModel(accelerator_netlist(program.config))
    model.reset()
    host = Accelerator(CompiledBus(model))
    host.load(program)
    began = time.perf_counter()
    logits = host.run(network.codes)[0]
    seconds = time.perf_counter() - began
    counters = host.counters()
    predicted = sum(step_cycles(program, step).total() for step in program.steps)
    return {
        "macs": graph.macs,
        "cycles": counters["cycles"],
        "model_cycles": predicted,
        "exact_model": counters["cycles"] - counters["stall_host"] == predicted,
        "utilization": round(graph.macs / counters["cycles"] / rows / cols, 4),
        "mismatches": int(np.count_nonzero(logits != network.golden))
        + int(np.count_nonzero(logits != network.reference)),
        "streamed": not program.resident,
        "stalls": {name: counters[name] for name in counters if name.startswith("stall")},
        "seconds": round(seconds, 2),
    }
