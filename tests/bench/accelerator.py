"""``nox -s bench -- accelerator``: exactness, cycles, speed and cost of the accelerator.

Writes build/bench/accelerator.json, part by part:

``networks``
    Whole networks on 8x8 and 16x16, every logit and every cycle checked.
``random``
    Forty random small networks on each of twelve random configurations.
``engine``
    Speed of the compiled engine beside a bare C++ loop, and its build time.
``bus``
    Bursts on the port with random back-pressure, none lost, doubled or hanging.
``cost``
    Post-synthesis cost on FPGA families, whole and by unit.
"""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
from holdfast.base.table import plain_table
from holdfast.nn.networks.registry import network_names
from tests.sim.random_networks import random_config, run_networks

from . import bus, cost, engine, networks
from .parts import Parts

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

SIZES = ((8, 8), (16, 16))
PARTS = ("networks", "random", "engine", "bus", "cost")
CONFIGURATIONS = 12
SMALL_NETWORKS = 40
TRANSACTIONS = 10_000


@app.command(
    epilog="Examples: nox -s bench -- accelerator; "
    "nox -s bench -- accelerator --parts networks --networks resnet8,resnet20"
)
def accelerator(
    parts: Annotated[
        str, typer.Option(help=f"Comma-separated, of {', '.join(PARTS)}; all if empty.")
    ] = "",
    names: Annotated[str, typer.Option("--networks", help="Comma-separated; all if empty.")] = "",
    output: Annotated[Path, typer.Option(help="Folder of the JSON.")] = Path("build/bench"),
) -> int:
    """Measure the accelerator; exit code 1 if anything is not exact.

    Parts that are not asked for keep what the file has of them, if the design is the same.
    """
    chosen = _chosen("part", parts, PARTS)
    wanted = _chosen("network", names, network_names())
    results = Parts(output / "accelerator.json")
    began = time.monotonic()
    right = True
    if "networks" in chosen:
        right &= _networks(results, wanted)
    if "random" in chosen:
        right &= _random(results)
    if "engine" in chosen:
        _engine(results)
    if "bus" in chosen:
        with console.status(f"{TRANSACTIONS:,} bursts with back-pressure"):
            results["bus"].update(bus.measure(TRANSACTIONS))
        results.write()
        console.print(
            "{transactions:,} bursts, {beats:,} beats, all right.".format(**results["bus"])
        )
    if "cost" in chosen:
        right &= _cost(results, output / "synthesis")
    console.print(f"{results.path} written, {time.monotonic() - began:.0f} s.")
    return 0 if right else 1


def _chosen(what: str, text: str, known: Iterable[str]) -> list[str]:
    names = [name for name in text.split(",") if name] or list(known)
    for name in names:
        if name not in known:
            raise HoldfastError(f"unknown {what} {name!r}; known are {', '.join(known)}.")
    return names


def _networks(results: Parts, names: list[str]) -> bool:
    entries: dict[str, Any] = {}
    for name in names:
        with console.status(f"{name}: both references"):
            network = networks.Network(name)
        for rows, cols in SIZES:
            key = f"{name}@{rows}x{cols}"
            with console.status(key):
                entries[key] = networks.measure(network, rows, cols)
            results["networks"].update(entries)
            results.write()
            console.print(f"{key}: {entries[key]['cycles']:,} cycles")
    table = plain_table(
        "Whole networks, one start each", "network", "MACs", "cycles", "model", "of peak", "wrong",
        "weights", "s", gap=1
    )  # fmt: skip
    for key, entry in entries.items():
        table.add_row(
            key,
            f"{entry['macs']:,}",
            f"{entry['cycles']:,}",
            f"{entry['model_cycles']:,}",
            f"{entry['utilization']:.1%}",
            str(entry["mismatches"]),
            "streamed" if entry["streamed"] else "on chip",
            f"{entry['seconds']:.1f}",
        )
    console.print(table)
    return all(not entry["mismatches"] and entry["exact_model"] for entry in entries.values())


def _random(results: Parts) -> bool:
    entries: dict[str, Any] = {}
    with Progress(console=console) as progress:
        task = progress.add_task("Random networks", total=CONFIGURATIONS * SMALL_NETWORKS)
        for seed in range(CONFIGURATIONS):
            config = random_config(seed)
            progress.update(task, description=f"Random networks on {config.name}")
            found = run_networks(config, SMALL_NETWORKS, seed, lambda: progress.advance(task))
            entries[f"{seed}: {config.name}"] = vars(found)
            results["random"].update(entries)
            results.write()
    table = plain_table(
        "Random small networks", "configuration", "networks", "outputs", "mismatches",
        "cycles", "cycle errors", gap=1
    )  # fmt: skip
    for key, entry in entries.items():
        columns = ("networks", "outputs", "mismatches", "cycles", "model_errors")
        table.add_row(key, *(f"{entry[name]:,}" for name in columns))
    console.print(table)
    return not any(entry["mismatches"] or entry["model_errors"] for entry in entries.values())


def _engine(results: Parts) -> None:
    table = plain_table(
        "Compiled engine", "array", "cycles/s", "bare loop", "ratio", "build", gap=1
    )
    with console.status("resnet20: both references"):
        network = networks.Network("resnet20")
    for rows, cols in SIZES:
        key = f"{rows}x{cols}"
        with console.status(f"Compiled engine, {key}"):
            entry = results["engine"][key] = engine.measure(network, rows, cols)
        results.write()
        table.add_row(
            key,
            f"{entry['cycles_per_s']:,}",
            f"{entry['bare_cycles_per_s']:,}",
            f"{entry['vs_bare']:.2f}",
            f"{entry['build_s']:.0f} s",
        )
    console.print(table)


def _cost(results: Parts, folder: Path) -> bool:
    table = plain_table(
        "Post-synthesis cost", "family", "array", "LUT", "FF", "DSP", "memories",
        "LUT/MAC", "products in DSP", gap=1
    )  # fmt: skip
    complete = True
    for family, size in cost.COSTS:
        with console.status(f"Synthesis of {size} for {family}"):
            entry = cost.measure(family, size, folder)
        results["cost"].setdefault(family, {})[size] = entry
        results.write()
        complete &= entry["array_multipliers"] == entry["processing_elements"]
        table.add_row(
            family,
            size,
            *(f"{entry[name]:,}" for name in ("lut", "ff", "dsp", "mem")),
            f"{entry['lut_per_mac']:.1f}",
            f"{entry['array_multipliers']} of {entry['processing_elements']}",
        )
    console.print(table)
    return complete


if __name__ == "__main__":
    sys.exit(run(app))
