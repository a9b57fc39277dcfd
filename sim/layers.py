"""Every layer of a network on the simulated accelerator, compared with the golden model."""

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from holdfast.base.leftovers import scratch
from holdfast.nn.compiler.program import Program, Step
from holdfast.nn.graph.guard_modes import GUARD_OFF, GuardSettings
from holdfast.sim.cocotb.build import Build, run_cocotb
from holdfast.sim.cocotb.network_bench import MARK
from holdfast.sim.compiled.build import CompiledBuild
from holdfast.sim.compiled.layers import compiled_steps

__all__ = ["GoldenRun", "LayerRun", "golden_run", "run_layers"]


@dataclass(frozen=True)
class GoldenRun:
    """Images and what the golden model makes of them.

    Attributes
    ----------
    codes : int8 [N, 3, H, W]
    outputs : dict of int8 [N, C, H, W]
        Every node's output codes.
    """

    codes: NDArray[np.int8]
    outputs: dict[str, NDArray[np.int8]]

    @property
    def classes(self) -> NDArray[np.int64]:
        """Class of each image: the lowest index among the largest logits."""
        logits = list(self.outputs.values())[-1]
        return logits.reshape(len(logits), -1).argmax(1)


@dataclass(frozen=True)
class LayerRun:
    """One step on one image.

    Attributes
    ----------
    cycles : int
        From the accepted start write to the interrupt, counted by the testbench.
    guard_output, guard_input : int
        Values that the range guard replaced.
    spent : dict of int
        The accelerator's counters: where the cycles went.
    """

    image: int
    name: str
    shape: tuple[int, ...]
    macs: int
    cycles: int
    outputs: int
    mismatches: int
    guard_output: int
    guard_input: int
    utilization: float
    spent: dict[str, int]


def golden_run(
    program: Program, codes: torch.Tensor, guard: GuardSettings = GUARD_OFF
) -> GoldenRun:
    """The golden model's outputs."""
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
    """Simulate steps (all by default) for every image, each from the golden model's inputs.

    Parameters
    ----------
    build : Build or CompiledBuild
        Both engines give the same runs; back-pressure and waveforms need cocotb. The cycles of a
        step that waits for weights from the host depend on the host, and differ.
    """
    steps = program.steps if steps is None else steps
    by_name = {step.name: step for step in steps}
    size = program.config.rows * program.config.cols
    runs: list[LayerRun] = []

    def take(line: Mapping[str, Any]) -> None:
        run = _layer_run(line, by_name, program, size)
        runs.append(run)
        if on_layer is not None:
            on_layer(run)

    def read(line: str) -> None:
        if line.startswith(MARK):
            take(json.loads(line[len(MARK) :]))

    images = [
        (golden.codes[index], {name: tensor[index] for name, tensor in golden.outputs.items()})
        for index in range(len(golden.codes))
    ]
    if isinstance(build, CompiledBuild):
        for line in compiled_steps(build, program, images, by_name, guard.control):
            take(line)
        return runs
    with scratch() as folder:
        file = folder / "program.pickle"
        file.write_bytes(pickle.dumps((program, images)))
        run_cocotb(
            build,
            "holdfast.sim.cocotb.network_bench",
            parameters={
                "program": str(file),
                "layers": list(by_name),
                "guard": guard.control,
                "stall": stall,
                "seed": seed,
            },
            seed=seed,
            waves=waves,
            on_line=read,
        )
    return runs


def _layer_run(
    line: Mapping[str, Any], steps: Mapping[str, Step], program: Program, size: int
) -> LayerRun:
    step = steps[line["name"]]
    channels = program.channels(step)
    return LayerRun(
        image=line["image"],
        name=step.name,
        shape=(channels.stop - channels.start, *program.graph[step.target].shape[1:]),
        macs=step.macs,
        cycles=line["cycles"],
        outputs=line["outputs"],
        mismatches=line["mismatches"],
        guard_output=line["guard_output"],
        guard_input=line["guard_input"],
        utilization=step.macs / (line["cycles"] * size),
        spent=line["spent"],
    )
