"""``nox -s bench -- accelerator``: whole networks on the compiled engine, exact and counted.

Writes build/bench/accelerator.json. Every network runs as one program with one start; cycles are
counted by the harness from the start to the interrupt. Logits are compared with the golden model
and with the independent NumPy reference. Networks without shipped weights take seeded ones, and
those whose weights do not fit the weight memory are streamed by the host.
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from gen.command import run
from gen.config import AcceleratorConfig
from gen.errors import HoldfastError
from gen.files import write_atomically
from nn.data import generated_images
from nn.golden import Golden
from nn.graph import Graph
from nn.networks import network_names
from nn.pixels import image_codes
from nn.program import Program, compile_graph
from nn.random_graph import random_graph
from nn.shipped import load_network, shipped
from sim.accelerator import accelerator_netlist
from sim.cycles import step_cycles
from sim.driver import Accelerator
from sim.fast import FastModel
from sim.fast_bus import FastBus
from tests import reference

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console()

SIZES = ((8, 8), (16, 16))


@app.command()
def accelerator(
    networks: Annotated[str, typer.Option(help="Comma-separated; all if empty.")] = "",
    output: Annotated[Path, typer.Option(help="Folder of the JSON.")] = Path("build/bench"),
) -> int:
    """Run whole networks on 8x8 and 16x16 and check every logit and every cycle."""
    names = [name for name in networks.split(",") if name] or network_names()
    for name in names:
        if name not in network_names():
            raise HoldfastError(
                f"unknown network {name!r}; known are {', '.join(network_names())}."
            )
    results: dict[str, Any] = {}
    graphs = {name: _graph(name) for name in names}
    for rows, cols in SIZES:
        for name, graph in graphs.items():
            key = f"{name}@{rows}x{cols}"
            with console.status(key):
                results[key] = _measure(graph, rows, cols)
            output.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"networks": results}, indent=1)
            write_atomically(output / "accelerator.json", text.encode())
            console.print(f"{key}: {results[key]}")
    console.print(_table(results))
    bad = [key for key, entry in results.items() if entry["mismatches"] or not entry["exact_model"]]
    return 1 if bad else 0


def _graph(name: str) -> Graph:
    return load_network(name) if f"{name}_int8" in shipped() else random_graph(name)


def fit(graph: Graph, rows: int, cols: int) -> Program:
    """The network on an array whose activation and program memories are as large as it needs."""
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
    while True:
        try:
            return compile_graph(graph, config)
        except HoldfastError:
            if config.act_depth == 1 << 16 and config.program_depth == 1 << 12:
                raise
            config = replace(
                config,
                act_depth=min(2 * config.act_depth, 1 << 16),
                program_depth=min(4 * config.program_depth, 1 << 12),
                param_depth=min(2 * config.param_depth, 1 << 14),
            )


def _measure(graph: Graph, rows: int, cols: int) -> dict[str, Any]:
    program = fit(graph, rows, cols)
    codes = image_codes(generated_images(1, 1).images, graph.act_bits)
    golden = Golden(graph).logits(codes)[0].numpy()
    second = reference.run(graph, codes[0].numpy())[graph.nodes[-1].name].ravel()
    model = FastModel(accelerator_netlist(program.config))
    model.reset()
    host = Accelerator(FastBus(model))
    host.load(program)
    began = time.perf_counter()
    logits = host.run(codes.numpy())[0]
    seconds = time.perf_counter() - began
    counters = host.counters()
    predicted = sum(sum(step_cycles(program, step).values()) for step in program.steps)
    return {
        "macs": graph.macs,
        "cycles": counters["cycles"],
        "model_cycles": predicted,
        "exact_model": counters["cycles"] - counters["stall_host"] == predicted,
        "utilization": round(graph.macs / counters["cycles"] / rows / cols, 4),
        "mismatches": int(np.count_nonzero(logits != golden))
        + int(np.count_nonzero(logits != second)),
        "streamed": not program.resident,
        "stalls": {name: counters[name] for name in counters if name.startswith("stall")},
        "seconds": round(seconds, 2),
    }


def _table(results: dict[str, Any]) -> Table:
    table = Table(title="Whole networks, one start each")
    for name in ("network", "MACs", "cycles", "model", "utilization", "mismatches", "weights"):
        table.add_column(name, justify="left" if name == "network" else "right")
    for key, entry in results.items():
        table.add_row(
            key,
            f"{entry['macs']:,}",
            f"{entry['cycles']:,}",
            f"{entry['model_cycles']:,}",
            f"{entry['utilization']:.1%}",
            str(entry["mismatches"]),
            "streamed" if entry["streamed"] else "on chip",
        )
    return table


if __name__ == "__main__":
    sys.exit(run(app))
