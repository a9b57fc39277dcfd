"""The main job: every layer of a network on the simulated RTL, then faults in it."""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.box import SIMPLE
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from holdfast.base import options
from holdfast.base.command import run
from holdfast.base.console import console, marked
from holdfast.base.errors import HoldfastError
from holdfast.base.files import make_folder, write_atomically
from holdfast.base.progress import progress_bar
from holdfast.base.text import shown
from holdfast.base.versions import versions
from holdfast.fault.injection.layerwise import (
    Row,
    check_not_streamed,
    inject,
    layer_cycles,
    paired,
    summarize,
)
from holdfast.fault.injection.replay import replay as replay_fault
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.outcome.classify import FaultResult
from holdfast.fault.results.tables import fault_table, interval, pairs_sentence
from holdfast.fault.sampling.sample import sample
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.listing import listing as program_listing
from holdfast.nn.compiler.program import Program, Step, compile_graph
from holdfast.nn.data.cifar import (
    ImageSet,
    find_data,
    generated_images,
    test_images,
)
from holdfast.nn.data.images import check_network
from holdfast.nn.graph.golden import Golden, classes
from holdfast.nn.graph.graph import Graph
from holdfast.nn.graph.guard_modes import (
    GUARD_OFF,
    GUARDS,
    GuardSettings,
    guard_name,
    named_guard,
)
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.graph.shipped import load_network
from holdfast.nn.quantization.guard_bounds import tighter_bounds
from holdfast.sim.cocotb.build import Build, build_cocotb
from holdfast.sim.compiled.build import CompiledBuild, build_compiled
from holdfast.sim.layers import (
    GoldenRun,
    LayerRun,
    golden_run,
    run_layers,
)
from holdfast.sim.machine.roofline import roofline as layer_roofline
from holdfast.sim.machine.roofline import roofline_table
from holdfast.sim.netlist.accelerator import accelerator_netlist
from holdfast.sim.tools import find_tools

__all__ = ["MOST_IMAGES", "app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
ENGINES = ("cocotb", "fast")
MOST_IMAGES = 10_000
"""As many as the largest test set has."""


@dataclass
class Job:
    """What a run works on."""

    graph: Graph
    program: Program
    images: ImageSet
    golden: GoldenRun
    guard: GuardSettings
    seed: int


@app.command(
    epilog="Examples: nox -s sim; nox -s sim -- --network resnet20 --faults 0; "
    "nox -s sim -- --network vgg16.safetensors --engine fast --faults 0 --roofline; "
    "nox -s sim -- --rows 4 --cols 4 --layers stem,logits --waves build/waves; "
    "nox -s sim -- --replay stem/i0/c1234/array__pe_3_4__weight[5]"
)
def simulate(
    network: Annotated[
        str, options.text("Shipped network, or path of a .safetensors model.", paths=True)
    ] = "resnet8",
    layers: Annotated[str, options.text("Layers to run, comma-separated; all if empty.")] = "",
    config: Annotated[Path | None, options.path("Accelerator configuration, TOML.")] = None,
    rows: Annotated[int | None, options.whole(1, 16, "Array rows (default 8).")] = None,
    cols: Annotated[int | None, options.whole(1, 16, "Array columns (default 8).")] = None,
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
    seed: Annotated[int, options.whole(0, options.LAST_SEED, "Seed of images and faults.")] = 1,
    data: Annotated[
        Path | None, options.path("CIFAR-10 data; without any, images are generated.")
    ] = None,
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
        Fault.parse(replay)
    graph = load_network(network)
    chosen = configuration(graph, config, rows, cols)
    setting = named_guard(guard, chosen)
    if pair and setting == GUARD_OFF:
        raise HoldfastError("--paired compares the guard off and on; here it is off.")
    program = compile_graph(graph, chosen)
    steps = _steps(program, layers)
    if listing:
        console.print("\n".join(program_listing(program)))
        return 0
    if faults:
        check_not_streamed(program, [step.name for step in steps])
    find_tools()
    image_set = images_for(graph, data, images, seed)
    for folder in (output, *([waves] if waves else [])):
        make_folder(folder)
    codes = image_codes(image_set.images, graph.act_bits)
    job = Job(graph, program, image_set, golden_run(program, codes, setting), setting, seed)

    console.print(_headline(job))
    with console.status(f"Generating and compiling the {chosen.rows}x{chosen.cols} accelerator"):
        netlist = accelerator_netlist(chosen)
        build: Build | CompiledBuild
        if engine == "fast":
            build = build_compiled(netlist)
        else:
            build = build_cocotb(netlist, waves=bool(waves or replay))
    if isinstance(build, Build) and replay:
        _replay(job, build, replay, output / "replay")
        return 0

    runs = _run_layers(job, build, steps, stall, waves)
    console.print(_layer_table(job, runs))
    if roofline:
        console.print(_roofline(job, runs))
    wrong = sum(run.mismatches for run in runs)
    results: list[FaultResult] = []
    totals: dict[str, Any] = {}
    if faults and not wrong:
        results, totals = _inject(job, build, steps, faults, pair)
        if pair:
            totals["guard_on_clean_images"] = _guard_cost(job, data)

    summary = {
        "network": graph.network,
        "accuracy": graph.provenance.get("accuracy", {}),
        "images": {"set": image_set.name, "count": len(image_set.images)},
        "seed": seed,
        "guard": guard_name(setting),
        "engine": engine,
        "config": asdict(chosen),
        "layers": [asdict(run) for run in runs],
        "faults": [asdict(result) for result in results],
        "totals": {
            "macs": sum(run.macs for run in runs),
            "cycles": sum(run.cycles for run in runs),
            "mismatches": wrong,
            "faults": totals,
        },
        "seconds": round(time.monotonic() - began, 1),
        "versions": versions(),
    }
    write_atomically(output / "summary.json", json.dumps(summary, indent=1).encode())
    console.print(f"{output / 'summary.json'} written, {summary['seconds']} s.")
    if wrong:
        console.print(marked((f"{wrong} outputs differ from the golden model.", "bold red")))
        return 1
    return 0


def _inject(
    job: Job, build: Build | CompiledBuild, steps: list[Step], count: int, pair: bool
) -> tuple[list[FaultResult], dict[str, Any]]:
    """Inject sampled faults and print their tables; with ``pair`` also with the guard off."""
    codes = torch.from_numpy(job.golden.codes)
    space = FaultSpace.of(build.netlist)
    names = {step.name for step in steps}
    with console.status("Timing the layers"):
        cycles = layer_cycles(build, job.program, codes[:1])
    cycles = {name: value for name, value in cycles.items() if name in names}
    faults = sample(space, cycles, len(codes), count, seed=job.seed)
    with progress_bar() as progress:
        task = progress.add_task("Faults in RTL", total=len(faults), rate="")
        began = time.monotonic()

        def advance(done: int, total: int) -> None:
            rate = f"{done / (time.monotonic() - began):.1f} faults/s"
            progress.update(task, completed=done, total=total, rate=rate)

        if pair:
            off, results = paired(build, job.program, codes, faults, job.guard, advance)
        else:
            results = inject(build, job.program, codes, faults, job.guard, advance)
    layers = len({result.layer for result in results})
    what = f"Single-bit upsets in {layers} layers, uniform over bits x cycles of a structure"
    rows = summarize(results, space, cycles)
    totals = {"by_structure": [_row_json(row) for row in rows]}
    if pair:
        without = summarize(off, space, cycles)
        console.print(fault_table(without, f"{what}\nguard off"))
        totals["guard_off"] = [_row_json(row) for row in without]
        totals["faults_guard_off"] = [asdict(result) for result in off]
    state = "off" if job.guard == GUARD_OFF else f"on ({guard_name(job.guard)})"
    console.print(fault_table(rows, f"{what}\nguard {state}"))
    weighted = rows[-1].shares
    console.print(
        f"{rows[-1].bits:,} bits x {sum(cycles.values()):,} cycles. Weighted by population: "
        + ", ".join(f"{name} {interval(weighted[name])}" for name in ("sdc1", "undetected_sdc1"))
        + "."
    )
    if pair:
        console.print(pairs_sentence(off, results))
    return results, totals


def _guard_cost(job: Job, data: Path | None) -> dict[str, Any]:
    """What the guard does to clean images: all test images at hand, or 200 generated ones."""
    images = test_images(data) if find_data(data) else generated_images(200, job.seed)
    codes = image_codes(images.images, job.graph.act_bits)
    with console.status(f"Golden model on {len(codes)} {images.name} images, guard off and on"):
        off = classes(Golden(job.graph).logits(codes)).numpy()
        on = classes(job.guard.golden(job.graph).logits(codes)).numpy()
    cost: dict[str, Any] = {
        "set": images.name,
        "images": len(codes),
        "classes_changed": int((off != on).sum()),
    }
    text = f"the class of {cost['classes_changed']} of {len(codes)} changes"
    if images.labels is not None:
        right_off, right_on = (int((found == images.labels).sum()) for found in (off, on))
        cost |= {"correct_guard_off": right_off, "correct_guard_on": right_on}
        text += f", {right_off} are right with the guard off, {right_on} with it on"
    text += "."
    if not job.guard.fixed:
        tighter, bounds = tighter_bounds(job.graph)
        cost |= {"bounds": bounds, "bounds_tighter_than_clamp": tighter}
        share = f"{tighter / bounds:.0%}"
        text += f" {tighter} of {bounds} output bounds ({share}) are tighter than the clamp."
    console.print(f"Clean {images.name} images: {text}")
    return cost


def _replay(job: Job, build: Build, identifier: str, folder: Path) -> None:
    """Repeat one fault and show what it did first."""
    with console.status("Replaying"):
        again = replay_fault(
            build,
            job.program,
            torch.from_numpy(job.golden.codes),
            identifier,
            folder,
            job.guard,
        )
    console.print(
        marked(f"{again.result.id}: ", (again.result.effect, "bold"), f" {again.result.died}")
    )
    table = Table(title="First registers that differ", box=SIMPLE)
    for name in ("cycle", "register", "golden", "faulty"):
        table.add_column(name)
    for entry in again.divergence:
        table.add_row(str(entry.cycle), entry.signal, f"{entry.golden:#x}", f"{entry.faulty:#x}")
    console.print(table if again.divergence else "No other register ever differs.")
    console.print(f"Waveforms: {again.golden} and {again.faulty}; cycle 0 at {again.begin} ns.")


def _row_json(row: Row) -> dict[str, Any]:
    shares = {name: asdict(share) for name, share in row.shares.items()}
    return {**asdict(row), "shares": shares}


def _check_engine(engine: str, stall: float, waves: Path | None, replay: str) -> None:
    if engine not in ENGINES:
        raise HoldfastError(f"--engine must be one of {', '.join(ENGINES)}, not {shown(engine)}.")
    for name, given in (("stall", stall), ("waves", waves), ("replay", replay)):
        if given and engine != "cocotb":
            raise HoldfastError(f"--{name} needs --engine cocotb, not {engine}.")


def configuration(
    graph: Graph, path: Path | None, rows: int | None, cols: int | None
) -> AcceleratorConfig:
    """The file's configuration, or the default with the network's widths."""
    if path is not None:
        if rows is not None or cols is not None:
            raise HoldfastError("--config already says rows and cols; give one or the other.")
        return AcceleratorConfig.from_toml(path)
    need = max(graph.accumulator_bits(node) for node in graph.weighted())
    return AcceleratorConfig(
        rows=8 if rows is None else rows,
        cols=8 if cols is None else cols,
        act_bits=graph.act_bits,
        weight_bits=graph.weight_bits,
        multiplier_bits=graph.multiplier_bits,
        rounding=graph.rounding,
        acc_bits=max(24, need),
    )


def _steps(program: Program, layers: str) -> list[Step]:
    names = options.words(layers)
    known = [step.name for step in program.steps]
    for name in names:
        if name not in known:
            raise HoldfastError(
                f"network {program.graph.network} has no layer {shown(name)}; "
                f"it has {', '.join(known)}."
            )
    return [step for step in program.steps if not names or step.name in names]


def chosen_images(data: Path | None, count: int, seed: int) -> ImageSet:
    """Random images of the best test set at hand, or generated ones."""
    options.check_range(1, MOST_IMAGES, images=count)
    if find_data(data) is None:
        return generated_images(count, seed)
    full = test_images(data)
    if count > len(full.images):
        raise HoldfastError(f"--images must be at most {len(full.images)}, not {count}.")
    chosen = np.random.default_rng(seed).choice(len(full.images), count, replace=False)
    labels = None if full.labels is None else full.labels[chosen]
    return ImageSet(full.name, full.images[chosen], labels, full.classes)


def images_for(graph: Graph, data: Path | None, count: int, seed: int) -> ImageSet:
    """The images of `chosen_images`, if the network takes such.

    Raises
    ------
    HoldfastError
        It takes images of another shape, has other classes, or there are not so many.
    """
    images = chosen_images(data, count, seed)
    check_network(graph.network, graph.nodes[0].shape, graph.classes, images)
    return images


def _headline(job: Job) -> Text:
    cfg, graph = job.program.config, job.graph
    text = (
        f" int{graph.weight_bits}/{graph.act_bits} "
        f"({graph.macs:,} MACs) on {cfg.rows}x{cfg.cols}, {len(job.images.images)} image(s), "
    )
    if job.images.labels is None:
        text += (
            "generated: no CIFAR-10 data found (--data); classes are relative to the golden class."
        )
    else:
        right = int((job.golden.classes == job.images.labels).sum())
        text += f"{job.images.name}, {right} classified correctly."
    return marked((graph.network, "bold"), text)


def _run_layers(
    job: Job, build: Build | CompiledBuild, steps: list[Step], stall: float, waves: Path | None
) -> list[LayerRun]:
    total = len(steps) * len(job.images.images)
    with progress_bar() as progress:
        task = progress.add_task("Layers on RTL", total=total, rate="")
        cycles = 0
        began = time.monotonic()

        def advance(run: LayerRun) -> None:
            nonlocal cycles
            cycles += run.cycles
            rate = f"{cycles / (time.monotonic() - began) / 1e3:,.0f} k cycles/s"
            progress.update(task, advance=1, rate=rate)

        return run_layers(
            build,
            job.program,
            job.golden,
            steps=steps,
            guard=job.guard,
            stall=stall,
            seed=job.seed,
            waves=waves / "layers.vcd" if waves else None,
            on_layer=advance,
        )


def _roofline(job: Job, runs: list[LayerRun]) -> Table:
    """Of the first image: others take the same cycles, but where weights are streamed."""
    steps = {step.name: step for step in job.program.steps}
    return roofline_table(
        layer_roofline(job.program, steps[run.name], run.spent) for run in runs if run.image == 0
    )


def _layer_table(job: Job, runs: list[LayerRun]) -> Table:
    title = f"Layers of {job.graph.network} on RTL against the golden model"
    table = Table(title=title, box=SIMPLE, pad_edge=False, padding=(0, 0, 0, 1))
    for name in ("layer", "output", "MACs", "cycles", "PE use", "outputs", "mismatches"):
        justify: JustifyMethod = "left" if name == "layer" else "right"
        table.add_column(name, justify=justify, no_wrap=True)
    many = len(job.images.images) > 1
    for entry in runs:
        table.add_row(
            f"{entry.image}: {entry.name}" if many else entry.name,
            "x".join(map(str, entry.shape)),
            f"{entry.macs:,}",
            f"{entry.cycles:,}",
            f"{entry.utilization:.1%}" if entry.macs else "",
            f"{entry.outputs:,}",
            f"{entry.mismatches:,}",
        )
    macs, cycles = sum(entry.macs for entry in runs), sum(entry.cycles for entry in runs)
    size = job.program.config.rows * job.program.config.cols
    table.add_section()
    table.add_row(
        "total",
        "",
        f"{macs:,}",
        f"{cycles:,}",
        f"{macs / cycles / size:.1%}",
        f"{sum(entry.outputs for entry in runs):,}",
        f"{sum(entry.mismatches for entry in runs):,}",
    )
    return table


if __name__ == "__main__":
    sys.exit(run(app))
