"""The command of the main job: every layer of a network on the simulated RTL, then faults in it."""

import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing
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
from holdfast.base.progress import Progress, progress_bar
from holdfast.base.table import plain_table
from holdfast.base.text import shown
from holdfast.base.versions import versions
from holdfast.fault.injection.layerwise import check_not_streamed
from holdfast.fault.injection.replay import replay as replay_fault
from holdfast.fault.model.fault import Fault
from holdfast.fault.results.tables import (
    divergence_table,
    fault_table,
    interval,
    pairs_sentence,
)
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.configuration import configuration
from holdfast.nn.compiler.listing import listing as program_listing
from holdfast.nn.compiler.program import compile_graph
from holdfast.nn.data.choice import MOST_IMAGES
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARDS, guard_name, named_guard
from holdfast.nn.graph.shipped import load_network
from holdfast.sim.cocotb.build import Build, build_cocotb
from holdfast.sim.compiled.build import CompiledBuild, build_compiled
from holdfast.sim.layers import LayerRun
from holdfast.sim.machine.roofline import roofline as layer_roofline
from holdfast.sim.machine.roofline import roofline_table
from holdfast.sim.netlist.accelerator import accelerator_netlist

from . import options as given
from .simulation import Setup, Upsets, chosen_steps, guard_cost, prepare
from .simulation import simulate as run_simulation

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
ENGINES = ("cocotb", "fast")


@app.command(
    epilog="Examples: nox -s sim; nox -s sim -- --network resnet20 --faults 0; "
    "nox -s sim -- --network vgg16.safetensors --engine fast --faults 0 --roofline; "
    "nox -s sim -- --rows 4 --cols 4 --layers stem,logits --waves build/waves; "
    "nox -s sim -- --replay stem/i0/c1234/array__pe_3_4__weight[5]"
)
def simulate(
    network: given.Network = "resnet8",
    layers: Annotated[str, options.text("Layers to run, comma-separated; all if empty.")] = "",
    config: given.Config = None,
    rows: given.Rows = None,
    cols: given.Cols = None,
    images: Annotated[int, options.whole(1, MOST_IMAGES, "Images to run.")] = 1,
    faults: Annotated[
        int,
        options.whole(
            0, 10_000_000, "Single-bit upsets, at least 20 in each structure; 0 for none."
        ),
    ] = 260,
    guard: Annotated[
        str | None,
        options.text(
            f"Range guard: {', '.join(GUARDS)} (default bound, or what the accelerator has)."
        ),
    ] = None,
    pair: Annotated[
        bool, typer.Option("--paired", help="Inject every fault with the guard off and on.")
    ] = False,
    seed: given.Seed = 1,
    data: given.Data = None,
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
    if replay:
        Fault.parse(replay, in_layer=True)
    graph = load_network(network)
    chosen = configuration(graph, config, rows, cols)
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
    with closing(_Shown(setup, len(steps), roofline, faults > 0)) as bars:
        found = run_simulation(
            setup, build, steps, faults=faults, pair=pair, stall=stall,
            waves=waves / "layers.vcd" if waves else None,
            on_layer=bars.layer, on_layers=bars.layers, on_fault=bars.fault,
        )  # fmt: skip
    summary = found.summary()
    if found.upsets:
        _print_upsets(setup, found.upsets)
        if pair:
            summary["totals"]["faults"]["guard_on_clean_images"] = _guard_cost(setup, data)
    summary |= {"seconds": round(time.monotonic() - began, 1), "versions": versions()}
    write_atomically(output / "summary.json", json.dumps(summary, indent=1).encode())
    console.print(f"{output / 'summary.json'} written, {summary['seconds']} s.")
    if found.mismatches:
        wrong = f"{found.mismatches} outputs differ from the golden model."
        console.print(marked((wrong, "bold red")))
    return 1 if found.mismatches else 0


def _built(config: AcceleratorConfig, engine: str, waves: bool) -> Build | CompiledBuild:
    with console.status(f"Generating and compiling the {config.rows}x{config.cols} accelerator"):
        netlist = accelerator_netlist(config)
        return build_compiled(netlist) if engine == "fast" else build_cocotb(netlist, waves=waves)


class _Shown:
    """Shows what is done: a bar for layers, their table, a bar for faults."""

    def __init__(self, setup: Setup, steps: int, roofline: bool, faults: bool):
        self.setup, self.total = setup, steps * len(setup.codes)
        self.roofline, self.faults = roofline, faults
        self.cycles = self.done = 0
        self.bar: Progress | None = None
        self.timing = console.status("Timing the layers")

    def close(self) -> None:
        self.timing.stop()
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _show(self, what: str, done: int, total: int, count: float, unit: str) -> None:
        if self.bar is None:
            self.bar = progress_bar()
            self.bar.start()
            self.task = self.bar.add_task(what, total=total, rate="")
            self.began = time.monotonic()
        rate = f"{count / max(time.monotonic() - self.began, 1e-9):,.1f} {unit}"
        self.bar.update(self.task, completed=done, rate=rate)

    def layer(self, run: LayerRun) -> None:
        self.cycles += run.cycles
        self.done += 1
        self._show("Layers on RTL", self.done, self.total, self.cycles / 1e3, "k cycles/s")

    def layers(self, runs: list[LayerRun]) -> None:
        self.close()
        console.print(_layer_table(self.setup, runs))
        if self.roofline:
            console.print(_roofline(self.setup, runs))
        if self.faults:
            self.timing.start()

    def fault(self, done: int, total: int) -> None:
        self.timing.stop()
        self._show("Faults in RTL", done, total, done, "faults/s")


def _print_upsets(setup: Setup, upsets: Upsets) -> None:
    layers = len({result.layer for result in upsets.results})
    what = f"Single-bit upsets in {layers} layers, uniform over bits x cycles of a structure"
    state = "off" if setup.guard == GUARD_OFF else f"on ({guard_name(setup.guard)})"
    if upsets.rows_off:
        console.print(fault_table(upsets.rows_off, f"{what}\nguard off"))
    console.print(fault_table(upsets.rows, f"{what}\nguard {state}"))
    total = upsets.rows[-1]
    console.print(
        f"{total.bits:,} bits x {sum(upsets.cycles.values()):,} cycles. Weighted by population: "
        + ", ".join(f"{n} {interval(total.shares[n])}" for n in ("sdc1", "undetected_sdc1"))
        + "."
    )
    if upsets.rows_off:
        console.print(pairs_sentence(upsets.off, upsets.results))


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


def _roofline(setup: Setup, runs: Sequence[LayerRun]) -> Table:
    """Of the first image: others take the same cycles, but where weights are streamed."""
    steps = {step.name: step for step in setup.program.steps}
    return roofline_table(
        layer_roofline(setup.program, steps[run.name], run.spent) for run in runs if run.image == 0
    )


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
