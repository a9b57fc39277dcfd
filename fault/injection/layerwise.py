"""Injecting upsets into single layers.

results = inject(build, program, images, faults, GuardSettings(output=True))
"""

import pickle
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from holdfast.base.errors import HoldfastError
from holdfast.base.leftovers import scratch
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.outcome.classify import FaultResult, classify
from holdfast.nn.compiler.program import Program
from holdfast.nn.graph.golden import Golden, GoldenOutputs
from holdfast.nn.graph.guard_modes import GUARD_OFF, GuardSettings, check_guard
from holdfast.nn.graph.reference import Reference
from holdfast.sim.cocotb.build import Build, run_cocotb
from holdfast.sim.compiled.build import CompiledBuild
from holdfast.sim.driver import loads

from .compiled_bench import CompiledBench
from .observation import MARK, BenchJob, Observed, Work


def inject(
    build: Build | CompiledBuild,
    program: Program,
    images: Tensor,
    faults: Sequence[Fault],
    guard: GuardSettings = GUARD_OFF,
    progress: Callable[[int], None] = lambda done: None,
) -> list[FaultResult]:
    """Injects faults into the running RTL and classifies each.

    Parameters
    ----------
    build : Build or CompiledBuild
        Simulation of the accelerator; both engines give the same results.
    images : int8 [N, C, H, W]
        Input codes; a fault's image is its index.
    progress : Callable
        Called with the number of faults done, after every fault.

    Returns
    -------
    list of FaultResult
        In the order of ``faults``.

    Raises
    ------
    HoldfastError
        A fault does not exist, or the guard is asked for and not in the netlist.
    """
    space = FaultSpace.of(build.netlist)
    golden = guard.golden(program.graph)
    layers = [step.name for step in program.steps]
    for fault in faults:
        fault.check_layer(layers, len(images))
        fault.check_bits(space)
    check_guard(program.config, guard)
    check_not_streamed(program, {fault.layer for fault in faults})
    clean = {n: golden.run(images[n : n + 1]) for n in sorted({f.image for f in faults})}
    results: dict[Fault, FaultResult] = {}
    for runs in observe(build, program, clean, faults, guard, progress):
        part = classify(
            program, space, golden, Reference.of(clean[runs.golden.image]), runs.golden,
            runs.observations, guard.alarms,
        )  # fmt: skip
        for observation, result in zip(runs.observations, part, strict=True):
            results[observation.fault] = result
    return [results[fault] for fault in faults]


def observe(
    build: Build | CompiledBuild,
    program: Program,
    references: Mapping[int, GoldenOutputs],
    faults: Sequence[Fault],
    guard: GuardSettings = GUARD_OFF,
    progress: Callable[[int], None] = lambda done: None,
) -> Iterator[Observed]:
    """Simulates faults, layer by layer; ``references`` are golden runs of single images."""
    groups: dict[tuple[str, int], dict[Fault, None]] = {}
    order = [step.name for step in program.steps]
    for fault in sorted(faults, key=lambda f: (f.image, order.index(f.layer))):
        groups.setdefault((fault.layer, fault.image), {})[fault] = None
    work = [Work(layer, image, tuple(group)) for (layer, image), group in groups.items()]
    yield from simulate_work(build, program, references, work, guard, progress)


def layer_cycles(build: Build | CompiledBuild, program: Program, image: Tensor) -> dict[str, int]:
    """Clock cycles of every layer, counted as a fault's cycle is; the same for every image.

    Parameters
    ----------
    image : int8 [1, C, H, W]
    """
    references = {0: Golden(program.graph).run(image)}
    work = [Work(step.name, 0, ()) for step in program.steps]
    runs = simulate_work(build, program, references, work, GUARD_OFF)
    return {part.golden.layer: part.golden.cycles for part in runs}


def simulate_work(
    build: Build | CompiledBuild,
    program: Program,
    references: Mapping[int, GoldenOutputs],
    work: list[Work],
    guard: GuardSettings,
    progress: Callable[[int], None] = lambda done: None,
    waves: Path | None = None,
) -> Iterator[Observed]:
    """Runs one simulation; what has a limit of its own is not returned."""
    golden = {
        image: {name: value[0].numpy() for name, value in result.outputs.items()}
        for image, result in references.items()
    }
    job = BenchJob(build.netlist, program, golden, guard.control, work)
    if isinstance(build, CompiledBuild):
        yield from CompiledBench(job, progress).run()
        return

    def on_line(line: str) -> None:
        if line.startswith(MARK):
            progress(int(line.removeprefix(MARK)))

    with scratch() as folder:
        (folder / "job").write_bytes(pickle.dumps(job))
        files = {"job": str(folder / "job"), "results": str(folder / "results")}
        run_cocotb(
            build, "holdfast.fault.injection.cocotb_bench", parameters=files,
            folder=folder / "run", on_line=on_line, waves=waves,
        )  # fmt: skip
        seen: list[Observed] = pickle.loads((folder / "results").read_bytes())
    for part, found in zip((part for part in work if not part.limit), seen, strict=True):
        for fault in part.faults:
            fault.check_cycle(found.golden.cycles)
        yield found


def check_not_streamed(program: Program, layers: Collection[str]) -> None:
    """Refuses layers whose weights the host writes while they run: no two such runs are alike.

    Raises
    ------
    HoldfastError
        Names the layer.
    """
    for step in program.steps:
        late = [load for load in loads(program, step.first, step.count) if load.after > step.first]
        if late and step.name in layers:
            raise HoldfastError(
                f"layer {step.name} needs weights that are written while it runs; faults need a "
                f"weight_depth above {program.config.weight_depth} or a param_depth above "
                f"{program.config.param_depth}."
            )
