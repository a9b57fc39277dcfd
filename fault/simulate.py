"""The command of the main job: every layer of a network on the simulated RTL, then faults in it."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from holdfast.base import options
from holdfast.base.command import run
from holdfast.base.console import console, marked
from holdfast.base.errors import HoldfastError
from holdfast.base.files import make_folder, write_atomically
from holdfast.base.progress import rated
from holdfast.base.table import plain_table
from holdfast.base.text import shown
from holdfast.base.versions import versions
from holdfast.fault.injection.layerwise import check_not_streamed
from holdfast.fault.injection.replay import replay as replay_fault
from holdfast.fault.model.fault import Fault
from holdfast.fault.results.tables import divergence_table, fault_table, interval, pairs_sentence
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn import options as shared
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.configuration import configuration
from holdfast.nn.compiler.listing import listing as program_listing
from holdfast.nn.graph.guard_modes import GUARD_OFF, guard_name, named_guard
from holdfast.nn.graph.shipped import load_network
from holdfast.sim.cocotb.build import Build, build_cocotb
from holdfast.sim.compiled.build import CompiledBuild, build_compiled
from holdfast.sim.layers import LayerRun
from holdfast.sim.machine.roofline import roofline as layer_roofline
from holdfast.sim.machine.roofline import roofline_table
from holdfast.sim.netlist.accelerator import accelerator_netlist

from .simulation import Setup, Simulation, chosen_steps, guard_cost, prepare
from .simulation import simulate as run_simulation

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
ENGINES = ("cocotb", "fast")


@app.command(
    epilog="Examples: holdfast sim; holdfast sim --network resnet20 --faults 0; "
    "holdfast sim --network vgg16.safetensors --engine fast --faults 0 --roofline; "
    "holdfast sim --rows 4 --cols 4 --layers stem,logits --waves build/waves; "
    "holdfast sim --replay stem/i0/c1234/array__pe_3_4__weight[5]"
)
@options.grouped(
    {
        shared.SETUP: "layers",
        shared.FAULTS: "faults pair replay",
        shared.RESULTS: "listing roofline waves output",
        shared.RUN: "engine stall",
    }
)
def simulate(
    network: shared.Network = "resnet8",
    layers: Annotated[str, options.text("Layers to run, comma-separated; all if empty.")] = "",
    config: shared.Config = None,
    rows: shared.Rows = None,
    cols: shared.Cols = None,
    protection: shared.Protection = None,
    images: shared.Images = 1,
    faults: Annotated[
        int,
        options.whole(
            0, 10_000_000, "Single-bit upsets, at least 20 in each structure; 0 for none."
        ),
    ] = 260,
    guard: shared.DesignsGuard = None,
    pair: Annotated[
        bool, typer.Option("--paired", help="Inject every fault with the guard off and on.")
    ] = False,
    seed: shared.Seed = 1,
    data: shared.Data = None,
    engine: Annotated[
        str, options.text("cocotb, or fast: compiled C++ with the same results.")
    ] = "cocotb",
    listing: Annotated[
        bool, typer.Option("--listing", help="Print the program of the network, and no more.")
    ] = False,
    roofline: Annotated[
        bool, typer.Option("--roofline", help="Also print where the cycles of each layer go.")
    ] = False,
    stall: Annotated[
        float,
        options.number(0, 0.99, "Probability of back-pressure on each bus channel per cycle."),
    ] = 0.0,
    waves: Annotated[
        Path | None, options.path("Folder for waveforms (VCD) of the layers, one file.")
    ] = None,
    replay: Annotated[
        str, options.text("Repeat one fault by its id, with waveforms of both runs.")
    ] = "",
    output: Annotated[Path, options.path("Folder of summary.json.")] = Path("build/sim"),
) -> int:
    """Simulate a quantized network on the generated accelerator, bit-exact, and inject faults."""
    began = time.monotonic()
    _check_engine(engine, stall, waves, replay)
    graph = load_network(network)
    chosen = configuration(graph, config, rows, cols, protection)
    setting = named_guard(guard, chosen)
    if pair and setting == GUARD_OFF:
        raise HoldfastError("--paired compares the guard off and on; here it is off.")
    program = compile_graph(graph, chosen)
    steps = chosen_steps(program, options.words(layers))
    if listing:
        console.print("\n".join(program_listing(program)))
        return 0
    if faults:
        check_not_streamed(program, [step.name for step in steps])
    setup = prepare(program, setting, images, data, seed)
    for folder in (output, *([waves] if waves else [])):
        make_folder(folder)
    console.print(_headline(setup))
    build = _built(chosen, engine, bool(waves or replay))
    if isinstance(build, Build) and replay:
        _replay(setup, build, replay, output / "replay")
        return 0
    found = run_simulation(
        setup, build, steps, faults=faults, pair=pair, stall=stall, watch=rated,
        waves=waves / "layers.vcd" if waves else None,
        on_layers=lambda runs: _print_layers(setup, runs, roofline),
    )  # fmt: skip
    summary = found.summary()
    _print_upsets(found)
    if found.unguarded:
        summary["totals"]["faults"]["guard_on_clean_images"] = _guard_cost(setup, data)
    summary |= {"seconds": round(time.monotonic() - began, 1), "versions": versions()}
    write_atomically(output / "summary.json", json.dumps(summary, indent=1).encode())
    console.print(f"{output / 'summary.json'} written, {summary['seconds']} s.")
    if not found.mismatches:
        return 0
    wrong = f"{found.mismatches} outputs differ from the golden model."
    console.print(marked((wrong, "bold red")))
    return 1


def _built(config: AcceleratorConfig, engine: str, waves: bool) -> Build | CompiledBuild:
    with console.status(f"Generating and compiling the {config.rows}x{config.cols} accelerator"):
        netlist = accelerator_netlist(config)
        return build_compiled(netlist) if engine == "fast" else build_cocotb(netlist, waves=waves)


def _print_layers(setup: Setup, runs: Sequence[LayerRun], roofline: bool) -> None:
    console.print(_layer_table(setup, runs))
    if roofline:
        # Of the first image: others take the same cycles, but where weights are streamed.
        steps = {step.name: step for step in setup.program.steps}
        first = [run for run in runs if run.image == 0]
        parts = [layer_roofline(setup.program, steps[run.name], run.spent) for run in first]
        console.print(roofline_table(parts))


def _print_upsets(found: Simulation) -> None:
    guard, upsets, off = found.setup.guard, found.upsets, found.unguarded
    if upsets is None:
        return
    layers = len({result.layer for result in upsets.results})
    what = f"Single-bit upsets in {layers} layers, uniform over bits x cycles of a structure"
    state = "off" if guard == GUARD_OFF else f"on ({guard_name(guard)})"
    if off:
        console.print(fault_table(off.rows, f"{what}\nguard off"))
    console.print(fault_table(upsets.rows, f"{what}\nguard {state}"))
    total = upsets.rows[-1]
    console.print(
        f"{total.bits:,} bits x {sum(upsets.cycles.values()):,} cycles. Weighted by population: "
        + ", ".join(f"{n} {interval(total.shares[n])}" for n in ("sdc1", "undetected_sdc1"))
        + "."
    )
    if off:
        console.print(pairs_sentence(off.results, upsets.results))


def _guard_cost(setup: Setup, data: Path | None) -> dict[str, Any]:
    """Computes and prints what the guard does to clean images."""
    with console.status("Golden model on clean images, guard off and on"):
        cost = guard_cost(setup, data)
    text = f"the class of {cost['classes_changed']} of {cost['images']} changes"
    if "correct_guard_off" in cost:
        text += f", {cost['correct_guard_off']} are right with the guard off, "
        text += f"{cost['correct_guard_on']} with it on"
    text += "."
    if "bounds" in cost:
        tighter, bounds = cost["bounds_tighter_than_clamp"], cost["bounds"]
        share = f"{tighter / bounds:.0%}"
        text += f" {tighter} of {bounds} output bounds ({share}) are tighter than the clamp."
    console.print(f"Clean {cost['set']} images: {text}")
    return cost


def _replay(setup: Setup, build: Build, identifier: str, folder: Path) -> None:
    """Repeats one fault and shows what it did first."""
    with console.status("Replaying"):
        again = replay_fault(build, setup.program, setup.codes, identifier, folder, setup.guard)
    result = again.result
    console.print(marked(f"{result.id}: ", (result.effect, "bold"), f" {result.died}"))
    table = divergence_table("First registers that differ", again.divergence)
    console.print(table if again.divergence else "No other register ever differs.")
    console.print(again.waveforms)


def _check_engine(engine: str, stall: float, waves: Path | None, replay: str) -> None:
    if engine not in ENGINES:
        raise HoldfastError(f"--engine must be one of {', '.join(ENGINES)}, not {shown(engine)}.")
    for name, value in (("stall", stall), ("waves", waves), ("replay", replay)):
        if value and engine != "cocotb":
            raise HoldfastError(f"--{name} needs --engine cocotb, not {engine}.")
    if replay:
        Fault.parse(replay, in_layer=True)


def _headline(setup: Setup) -> Text:
    config, graph = setup.program.config, setup.graph
    text = (
        f" int{graph.weight_bits}/{graph.act_bits} "
        f"({graph.macs:,} MACs) on {config.rows}x{config.cols}, {len(setup.codes)} image(s), "
    )
    if setup.images.labels is None:
        text += (
            "generated: no CIFAR-10 data found (--data); classes are relative to the golden class."
        )
    else:
        right = int((setup.golden.classes == setup.images.labels).sum())
        text += f"{setup.images.name}, {right} classified correctly."
    return marked((graph.network, "bold"), text)


def _layer_table(setup: Setup, runs: Sequence[LayerRun]) -> Table:
    table = plain_table(
        f"Layers of {setup.graph.network} on RTL against the golden model",
        "layer", "output", "MACs", "cycles", "PE use", "outputs", "mismatches", gap=1,
    )  # fmt: skip
    many = len(setup.codes) > 1
    for entry in runs:
        name = f"{entry.image}: {entry.name}" if many else entry.name
        use = f"{entry.utilization:.1%}" if entry.macs else ""
        table.add_row(name, "x".join(map(str, entry.shape)), *_cells(entry.macs, [entry], use))
    macs, cycles = sum(entry.macs for entry in runs), sum(entry.cycles for entry in runs)
    size = setup.program.config.rows * setup.program.config.cols
    table.add_section()
    table.add_row("total", "", *_cells(macs, runs, f"{macs / cycles / size:.1%}"))
    return table


def _cells(macs: int, runs: Sequence[LayerRun], use: str) -> list[str]:
    sums = (sum(getattr(run, name) for run in runs) for name in ("cycles", "outputs", "mismatches"))
    cycles, outputs, mismatches = (f"{value:,}" for value in sums)
    return [f"{macs:,}", cycles, use, outputs, mismatches]


if __name__ == "__main__":
    sys.exit(run(app))
