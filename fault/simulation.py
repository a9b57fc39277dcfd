"""The main job: every layer of a network on the simulated RTL, then upsets in them.

setup = prepare(program, guard, images=2, seed=7)
found = simulate(setup, build_compiled(netlist), faults=400)
found.summary()                                     # what goes into summary.json
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from holdfast.base.errors import HoldfastError
from holdfast.base.progress import Tell, unseen
from holdfast.base.text import shown
from holdfast.fault.injection.layerwise import inject, layer_cycles
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.outcome.classify import FaultResult
from holdfast.fault.results.layers import Row, summarize
from holdfast.fault.sampling.sample import sample
from holdfast.nn.compiler.program import Program, Step
from holdfast.nn.data.choice import images_for
from holdfast.nn.data.cifar import find_data, generated_images, test_images
from holdfast.nn.data.images import ImageSet
from holdfast.nn.graph.golden import Golden, classes
from holdfast.nn.graph.graph import Graph
from holdfast.nn.graph.guard_modes import GUARD_OFF, GuardSettings, guard_name
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.quantization.guard_bounds import tighter_bounds
from holdfast.sim.cocotb.build import Build
from holdfast.sim.compiled.build import CompiledBuild
from holdfast.sim.layers import GoldenRun, LayerRun, golden_run, run_layers
from holdfast.sim.tools import find_tools


@dataclass(frozen=True)
class Setup:
    """Holds what a simulation works on.

    Attributes
    ----------
    codes : int8 [N, C, H, W]
        The images as the network takes them.
    seed : int
        Of back-pressure and of the draw of faults.
    """

    program: Program
    images: ImageSet
    codes: torch.Tensor
    guard: GuardSettings
    seed: int

    @property
    def graph(self) -> Graph:
        """Returns the network."""
        return self.program.graph

    @cached_property
    def golden(self) -> GoldenRun:
        """Returns what the golden model makes of the images."""
        return golden_run(self.program, self.codes, self.guard)


@dataclass(frozen=True)
class Upsets:
    """Faults in layers and what they did.

    Attributes
    ----------
    results : list of FaultResult
    rows : list of Row
        By structure; the last weighted by population.
    cycles : dict of int
        Clock cycles of every layer that could be hit.
    """

    results: list[FaultResult]
    rows: list[Row]
    cycles: dict[str, int]


@dataclass(frozen=True)
class Simulation:
    """Holds what a simulation found.

    Attributes
    ----------
    engine : str
        ``cocotb`` or ``fast``.
    runs : list of LayerRun
        Every layer on every image.
    upsets : Upsets or None
        None without faults, or where a layer differs from the golden model.
    unguarded : Upsets or None
        The same faults with the guard off, where that was asked for.
    """

    setup: Setup
    engine: str
    runs: list[LayerRun]
    upsets: Upsets | None = None
    unguarded: Upsets | None = None

    @property
    def mismatches(self) -> int:
        """Outputs that differ from the golden model."""
        return sum(run.mismatches for run in self.runs)

    def summary(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        setup, upsets, off = self.setup, self.upsets, self.unguarded
        totals: dict[str, Any] = {}
        if upsets:
            totals["by_structure"] = [asdict(row) for row in upsets.rows]
        if off:
            totals["guard_off"] = [asdict(row) for row in off.rows]
            totals["faults_guard_off"] = [asdict(result) for result in off.results]
        return {
            "network": setup.graph.network,
            "accuracy": setup.graph.provenance.get("accuracy", {}),
            "images": {"set": setup.images.name, "count": len(setup.images.images)},
            "seed": setup.seed,
            "guard": guard_name(setup.guard),
            "engine": self.engine,
            "config": setup.program.config.values,
            "layers": [asdict(run) for run in self.runs],
            "faults": [asdict(result) for result in upsets.results] if upsets else [],
            "totals": {
                "macs": sum(run.macs for run in self.runs),
                "cycles": sum(run.cycles for run in self.runs),
                "mismatches": self.mismatches,
                "faults": totals,
            },
        }


def chosen_steps(program: Program, names: Sequence[str]) -> list[Step]:
    """Returns the named layers of a program, all if none is named.

    Raises
    ------
    HoldfastError
        There is no such layer.
    """
    known = [step.name for step in program.steps]
    for name in names:
        if name not in known:
            raise HoldfastError(
                f"network {program.graph.network} has no layer {shown(name)}; "
                f"it has {', '.join(known)}."
            )
    return [step for step in program.steps if not names or step.name in names]


def prepare(
    program: Program, guard: GuardSettings, images: int = 1, data: Path | None = None, seed: int = 1
) -> Setup:
    """Finds the simulators and the images.

    Raises
    ------
    HoldfastError
        A tool is missing, or there are no such images.
    """
    find_tools()
    chosen = images_for(program.graph, data, images, seed)
    codes = image_codes(chosen.images, program.graph.act_bits)
    return Setup(program, chosen, codes, guard, seed)


def simulate(
    setup: Setup,
    build: Build | CompiledBuild,
    steps: Sequence[Step] | None = None,
    *,
    faults: int = 0,
    pair: bool = False,
    stall: float = 0.0,
    waves: Path | None = None,
    watch: Callable[[str, int, str], AbstractContextManager[Tell]] = unseen,
    on_layers: Callable[[list[LayerRun]], None] = lambda runs: None,
) -> Simulation:
    """Runs layers on the RTL, compares them with the golden model, and injects upsets.

    Parameters
    ----------
    build : Build or CompiledBuild
        Both engines give the same results; back-pressure and waveforms need cocotb.
    faults : int
        Upsets to draw, at least 20 in each structure; 0 for none. None are injected where a layer
        differs from the golden model.
    pair : bool
        Inject every fault with the guard off as well.
    stall : float
        Probability of back-pressure on each bus channel per cycle.
    waves : Path or None
        File for waveforms.
    watch : callable
        Shows progress, as `base.progress.rated` does in a terminal.
    on_layers : callable
        Called with all layers' runs before faults are injected.

    Raises
    ------
    HoldfastError
        A layer cannot be injected into.
    """
    program, codes = setup.program, setup.codes
    steps = program.steps if steps is None else steps
    engine = "fast" if isinstance(build, CompiledBuild) else "cocotb"
    seen: list[LayerRun] = []
    with watch("Layers on RTL", len(steps) * len(codes), "{:,.0f} k cycles/s") as tell:

        def told(run: LayerRun) -> None:
            seen.append(run)
            tell(len(seen), sum(run.cycles for run in seen) / 1e3)

        runs = run_layers(
            build, program, setup.golden, steps=steps, guard=setup.guard, stall=stall,
            seed=setup.seed, waves=waves, on_layer=told,
        )  # fmt: skip
    on_layers(runs)
    if not faults or any(run.mismatches for run in runs):
        return Simulation(setup, engine, runs)
    with watch("Timing the layers", len(program.steps), "") as tell:
        timed = layer_cycles(build, program, codes[:1])
        tell(len(timed))
    names = {step.name for step in steps}
    cycles = {name: value for name, value in timed.items() if name in names}
    space = FaultSpace.of(build.netlist)
    drawn = sample(space, cycles, len(codes), faults, seed=setup.seed)

    def upsets(guard: GuardSettings, what: str) -> Upsets:
        with watch(what, len(drawn), "{:,.1f} faults/s") as tell:
            results = inject(build, program, codes, drawn, guard, tell)
        return Upsets(results, summarize(results, space, cycles), cycles)

    off = upsets(GUARD_OFF, "Faults in RTL, guard off") if pair else None
    return Simulation(setup, engine, runs, upsets(setup.guard, "Faults in RTL"), off)


def guard_cost(setup: Setup, data: Path | None = None) -> dict[str, Any]:
    """Returns what the guard does to clean images: all test images at hand, or 200 generated."""
    graph = setup.graph
    images = test_images(data) if find_data(data) else generated_images(200, setup.seed)
    codes = image_codes(images.images, graph.act_bits)
    off = classes(Golden(graph).logits(codes)).numpy()
    on = classes(setup.guard.golden(graph).logits(codes)).numpy()
    cost: dict[str, Any] = {
        "set": images.name,
        "images": len(codes),
        "classes_changed": int((off != on).sum()),
    }
    if images.labels is not None:
        right = [int((found == images.labels).sum()) for found in (off, on)]
        cost |= {"correct_guard_off": right[0], "correct_guard_on": right[1]}
    if not setup.guard.fixed:
        tighter, bounds = tighter_bounds(graph)
        cost |= {"bounds": bounds, "bounds_tighter_than_clamp": tighter}
    return cost
