"""Random small networks on random accelerators: whole programs on the compiled engine.

result = run_networks(random_config(3), count=40, seed=3)
"""

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import ROUNDINGS, AcceleratorConfig
from holdfast.gen.protection.range_guard import fixed_bound
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.program import Program
from holdfast.nn.graph.golden import Golden
from holdfast.sim.compiled.bus import CompiledBus
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.driver import Accelerator
from holdfast.sim.machine.cycles import step_cycles
from holdfast.sim.netlist.accelerator import accelerator_netlist
from tests import reference
from tests.sim.small_graphs import OPERATIONS, small_graph


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


RANGES = {
    "rows": (1, 16), "cols": (1, 16), "act_bits": (2, 8), "weight_bits": (2, 8),
    "acc_bits": (8, 32), "multiplier_bits": (0, 24), "act_banks": (2, 4), "act_depth": (1, 1 << 16),
    "weight_depth": (1, 1 << 20), "acc_depth": (1, 1 << 12), "param_depth": (1, 1 << 14),
    "program_depth": (1, 1 << 12),
}  # fmt: skip
"""Of every number in a configuration, as the documentation has it."""
CHOICES = {"rounding": ROUNDINGS, "guard": (False, True), "learnt_bounds": (False, True)}
_ROOMY = {"act_depth": 2048, "weight_depth": 1 << 14, "acc_depth": 24, "param_depth": 256,
          "program_depth": 512}  # fmt: skip
"""Just large enough for small networks."""


def random_config(seed: int) -> AcceleratorConfig:
    """Any configuration there may be: with seed 0 every value is at its lower end, with seed 1 at
    its upper one; further ones have all ends more often than what lies between, and at most one
    memory of another depth than small networks need.
    """
    draw = random.Random(seed)
    other = draw.choice(["", *_ROOMY])
    values: dict[str, Any] = {}
    for name, (low, high) in RANGES.items():
        # What a configuration asks of itself.
        if name == "acc_bits":
            low = max(low, values["act_bits"] + values["weight_bits"])
        elif name in ("weight_depth", "param_depth"):
            low = values["rows" if name == "weight_depth" else "cols"]
        if name == "weight_depth":
            # The bus sees 4 MiB of words of 4, 8 or 16 bytes.
            high = min(high, (4 << 20) // next(n for n in (4, 8, 16) if n >= values["cols"]))
        between = draw.randint(low, high)
        if name in _ROOMY:
            between = round(low * (high / low) ** draw.random())
        values[name] = [low, high, draw.choice([low, high, between, between])][min(seed, 2)]
        if seed > 1 and name in _ROOMY and name != other:
            values[name] = _ROOMY[name]
    for name, known in CHOICES.items():
        values[name] = [known[0], known[-1], draw.choice(known)][min(seed, 2)]
    return AcceleratorConfig(**values)


def fitting_program(
    config: AcceleratorConfig, seed: int, operations: list[str]
) -> tuple[Program, NDArray[np.int64]]:
    """A random network that has a place on an accelerator, of the first of some operations and a
    dense layer, and an image; at the least, one weight.
    """
    sizes: list[dict[str, Any]] = [
        {"operations": operations[:count]} for count in range(len(operations), -1, -1)
    ]
    sizes += [{"operations": [], "shape": shape} for shape in ((2, 2, 2), (1, 1, 2))]
    for size in sizes:
        graph, codes = small_graph(config, seed, **size)
        try:
            return compile_graph(graph, config), codes
        except HoldfastError:
            pass
    graph, codes = small_graph(config, seed, [], (1, 1, 1), classes=1)
    return compile_graph(graph, config), codes


def scramble(model: CompiledModel, seed: int) -> None:
    """Put random bits in every register and every word of every memory, as after power-up."""
    draw = np.random.default_rng(seed)

    def bits(width: int) -> int:
        return int.from_bytes(draw.bytes(width // 8 + 1), "little") % (1 << width)

    for register in model.netlist.flip_flops:
        model.write(register.name, bits(register.width))
    for memory in model.netlist.memories:
        if memory.width <= 62:
            model.write_memory(memory.name, draw.integers(0, 1 << memory.width, memory.depth))
        else:
            for index in range(memory.depth):
                model.write(memory.name, bits(memory.width), index)


def run_networks(
    config: AcceleratorConfig,
    count: int,
    seed: int,
    on_network: Callable[[], None] = lambda: None,
    scrambled: bool = False,
) -> RandomNetworks:
    """Run networks of three random operations and a dense layer, guards on and off.

    ``scrambled``: every register and memory is random before the reset of one cycle.
    """
    result = RandomNetworks(asdict(config))
    model = CompiledModel(accelerator_netlist(config))
    if scrambled:
        scramble(model, seed)
    model.reset()
    host = Accelerator(CompiledBus(model))
    draw = random.Random(seed)
    for number in range(count):
        # One pixel ends everything else.
        operations = sorted(draw.sample(sorted(OPERATIONS), 3), key=lambda o: o == "one_pixel")
        program, codes = fitting_program(config, 1000 * seed + number, operations)
        graph = program.graph
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
