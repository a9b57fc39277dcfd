"""Every layer of a network on the simulated accelerator, compared with the golden model."""

import pickle
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import torch

from holdfast.base.leftovers import scratch
from holdfast.nn.compiler.program import Program, Step
from holdfast.nn.graph.guard_modes import GUARD_OFF, GuardSettings
from holdfast.sim.cocotb.build import Build, run_cocotb
from holdfast.sim.compiled.build import CompiledBuild
from holdfast.sim.compiled.host import compiled_host
from holdfast.sim.compiled.model import CompiledModel

from .host import complete
from .layer_runs import GoldenRun, LayerJob, LayerRun, layer_runs


def golden_run(
    program: Program, codes: torch.Tensor, guard: GuardSettings = GUARD_OFF
) -> GoldenRun:
    """Returns the golden model's outputs."""
    result = guard.golden(program.graph).run(codes)
    outputs = {name: tensor.numpy() for name, tensor in result.outputs.items()}
    return GoldenRun(codes.numpy(), outputs)


def run_layers(
    build: Build | CompiledBuild,
    program: Program,
    golden: GoldenRun,
    *,
    steps: Sequence[Step] | None = None,
    guard: GuardSettings = GUARD_OFF,
    stall: float = 0.0,
    seed: int = 0,
    waves: Path | None = None,
    on_layer: Callable[[LayerRun], None] | None = None,
) -> list[LayerRun]:
    """Simulates steps (all by default) for every image, each from the golden model's inputs.

    Parameters
    ----------
    build : Build or CompiledBuild
        Both engines give the same runs; back-pressure and waveforms need cocotb. The cycles of a
        step that waits for weights from the host depend on the host, and differ.
    """
    layers = [step.name for step in (program.steps if steps is None else steps)]
    job = LayerJob(program, golden, layers, guard.control, stall, seed)
    runs: list[LayerRun] = []

    def take(run: LayerRun) -> None:
        runs.append(run)
        if on_layer is not None:
            on_layer(run)

    if isinstance(build, CompiledBuild):
        complete(_each(layer_runs(compiled_host(CompiledModel(build.netlist)), job), take))
        return runs
    with scratch() as folder:
        file = folder / "job.pickle"
        file.write_bytes(pickle.dumps(job))
        run_cocotb(
            build, "holdfast.sim.cocotb.network_bench", parameters={"job": str(file)}, seed=seed,
            waves=waves, on_result=lambda result: take(LayerRun.from_json(result)),
        )  # fmt: skip
    return runs


async def _each(runs: AsyncIterator[LayerRun], take: Callable[[LayerRun], None]) -> None:
    async for run in runs:
        take(run)
