"""``nox -s bench -- structures``: faults in every structure of random accelerators, by plain RTL.

Random networks run on random accelerators of at most 5x5, and two networks by hand on accelerators
of their own. In every structure, memories included, faults are drawn; the columns of
`tests.bench.compared` have to be those of plain RTL from the first cycle to the last. Writes
build/bench/structures.json.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
from holdfast.base.files import write_json
from holdfast.base.options import LAST_SEED, path, text, whole, words
from holdfast.base.progress import rated
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import FaultSpace
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.program import Program
from holdfast.nn.graph.guard_modes import GUARDS
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.networks.spec import Network
from holdfast.sim.machine.schedule import Schedule
from tests.bench.compared import campaign_engine, differing
from tests.random_graph import random_graph
from tests.sim.random_networks import fitting_program, random_config
from tests.sim.small_graphs import OPERATIONS

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_DEEPEST = 4096
"""Words of a memory: plain RTL copies and compares all of them."""
_LONGEST = 6000
"""Cycles of a network."""


class Case(NamedTuple):
    """A network on an accelerator, an image and the name of a guard setting."""

    program: Program
    codes: NDArray[np.int8]
    guard: str


def mixed() -> Case:
    """Makes a network of five bits with bounds: pooling, a concatenation, lanes of no channel, a
    shortcut in an add.
    """
    net = Network("mixed", input_shape=(3, 6, 6))
    first = net.conv("first", "image", 3, 3)
    pooled = net.pool("maxpool", "pooled", first, 3, 1, 1)
    joined = net.concat("joined", net.conv("beside", pooled, 4, 1), pooled)
    short = net.shortcut("short", joined, 10, 2)
    strided = net.conv("strided", joined, 10, 3, stride=2, activation="none")
    added = net.add("added", strided, short)
    net.dense("logits", net.pool("avgpool", "average", added, 2, 1), 4)
    config = AcceleratorConfig(
        rows=3, cols=4, act_bits=5, weight_bits=5, acc_bits=20, multiplier_bits=8, act_depth=256,
        weight_depth=1024, acc_depth=24, param_depth=128, program_depth=64,
    )  # fmt: skip
    return _by_hand(net, config, "bound")


def grouped() -> Case:
    """Makes a network of depthwise, dilated and grouped convolutions with fixed bounds."""
    net = Network("grouped", input_shape=(4, 6, 6))
    deep = net.conv("deep", "image", 4, 3, groups=4)
    wide = net.conv("wide", deep, 6, 3, dilation=2)
    parts = net.conv("parts", wide, 6, 3, stride=2, groups=2, activation="none")
    net.dense("logits", net.add("added", parts, net.conv("side", wide, 6, 1, stride=2)), 3)
    config = AcceleratorConfig(
        rows=4, cols=3, act_bits=7, weight_bits=6, multiplier_bits=11, act_banks=3,
        rounding="half_even", learnt_bounds=False, act_depth=256, weight_depth=1024, acc_depth=20,
        param_depth=128, program_depth=128,
    )  # fmt: skip
    return _by_hand(net, config, "fixed")


def _by_hand(net: Network, config: AcceleratorConfig, guard: str) -> Case:
    widths = {name: getattr(config, name) for name in
              ("act_bits", "weight_bits", "multiplier_bits", "rounding")}  # fmt: skip
    program = compile_graph(random_graph(net, seed=7, **widths), config)
    pixels = np.random.default_rng(3).integers(0, 256, (1, *net.input_shape), np.uint8)
    return Case(program, image_codes(pixels, config.act_bits)[0].numpy(), guard)


HOSTILE = {"mixed": mixed, "grouped": grouped}


def drawn(seed: int) -> Iterator[Case]:
    """Draws random networks that campaigns take, each on another random accelerator."""
    source = random.Random(seed)
    while True:
        number = source.randrange(2, 1 << 30)
        config = random_config(number)
        depths = ("act_depth", "weight_depth", "acc_depth", "param_depth", "program_depth")
        limits = {name: min(getattr(config, name), _DEEPEST) for name in depths}
        config = config.with_(rows=1 + config.rows % 5, cols=1 + config.cols % 5, **limits)
        operations = sorted(source.sample(sorted(OPERATIONS), 3), key=lambda o: o == "one_pixel")
        guards = ["off", *(("bound", "zero") if config.learnt_bounds else ("fixed",))]
        guard = source.choice(guards) if config.guard else "off"
        program, codes = fitting_program(config, number, operations)
        long = Schedule(program).cycles > _LONGEST
        if program.resident and len(program.steps) > 2 and not long:
            yield Case(program, codes.astype(np.int8), guard)


@app.command()
def structures(
    faults: Annotated[int, whole(1, 10**6, "Faults in each structure.")] = 300,
    networks: Annotated[int, whole(0, 1000, "Random networks, each on its accelerator.")] = 8,
    hostile: Annotated[str, text(f"Of {', '.join(HOSTILE)}.")] = ",".join(HOSTILE),
    seed: Annotated[int, whole(0, LAST_SEED, "Of all draws.")] = 1,
    output: Annotated[Path, path("Folder of the JSON.")] = Path("build/bench"),
) -> int:
    """Compare faults in every structure of random accelerators with plain RTL."""
    for name in words(hostile):
        if name not in HOSTILE:
            raise HoldfastError(f"there is no network {name!r}; known are {', '.join(HOSTILE)}.")
    source = drawn(seed)
    cases = {name: HOSTILE[name]() for name in words(hostile)}
    cases |= {f"random {number}": next(source) for number in range(networks)}
    results: dict[str, Any] = {}
    different = 0
    for name, case in cases.items():
        results[name] = _compared(name, case, faults, seed)
        console.print(name, results[name])
        total: Counter[str] = Counter()
        for entry in results.values():
            total.update(entry["by_structure"])
        different = sum(entry["differences"] for entry in results.values())
        write_json(
            output / "structures.json",
            {"faults": total.total(), "differences": different, "by_structure": total,
             "networks": results},
        )  # fmt: skip
    return 1 if different else 0


def _compared(name: str, case: Case, count: int, seed: int) -> dict[str, Any]:
    program, codes, guard = case
    engine = campaign_engine(program, codes, GUARDS[guard])
    space, cycles = FaultSpace.of(engine.inference.netlist), engine.inference.golden.cycles
    source = random.Random(f"{seed} {name}")
    faults = [
        Fault((space.site(structure, source.randrange(space.bits(structure))),),
              source.randrange(cycles))
        for structure in space.structures for _ in range(count)
    ]  # fmt: skip
    began = time.perf_counter()
    outcomes = engine.run(faults)
    middle = time.perf_counter()
    wrong = []
    with rated(f"Plain RTL, {name}", len(faults), "{:,.0f} faults/s") as show:
        for done, (fault, outcome) in enumerate(zip(faults, outcomes, strict=True), 1):
            if columns := differing(outcome, engine.plain(fault)):
                wrong.append(f"{fault}: {', '.join(columns)} ({outcome.path})")
            show(done)
    end = time.perf_counter()
    return {
        "config": asdict(program.config),
        "guard": guard,
        "machines_together": engine.inference.many is not None,
        "steps": [f"{step.name} {len(step.descriptors)}" for step in program.steps],
        "cycles": cycles,
        "faults": len(faults),
        "differences": len(wrong),
        "which": wrong,
        "by_path": Counter(outcome.path for outcome in outcomes),
        "by_effect": Counter(outcome.effect for outcome in outcomes),
        "by_structure": dict.fromkeys(space.structures, count),
        "seconds": {"engine": round(middle - began, 1), "plain": round(end - middle, 1)},
    }


if __name__ == "__main__":
    sys.exit(run(app))
