"""Every step of a program, each with the golden model's input, on whatever engine.

async for run in layer_runs(host, job):
    print(run.name, run.cycles, run.mismatches)
"""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.gen.layout import COUNTERS
from holdfast.nn.compiler.program import Program, Step

from .host import Host
from .registers import check_status, preparation_writes

_GUARD = ("guard_output", "guard_input")


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
class LayerJob:
    """Holds what to run.

    Attributes
    ----------
    layers : collection of str
        Names of the steps to run.
    settings : dict
        Of the control register.
    stall, seed : float, int
        Back-pressure on the bus of a cocotb testbench.
    """

    program: Program
    golden: GoldenRun
    layers: Collection[str]
    settings: dict[str, bool]
    stall: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class LayerRun:
    """Says what one step did on one image.

    Attributes
    ----------
    cycles : int
        From the accepted start write to the interrupt, counted outside the accelerator.
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

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "LayerRun":
        """Returns the run of such fields as JSON has them."""
        return cls(**{**data, "shape": tuple(data["shape"])})


async def layer_runs(host: Host, job: LayerJob) -> AsyncIterator[LayerRun]:
    """Runs the layers of a job, image by image, and compares what they write."""
    await host.load(job.program)
    for image in range(len(job.golden.codes)):
        for step in job.program.steps:
            if step.name in job.layers:
                yield await _layer_run(host, job, image, step)


async def _layer_run(host: Host, job: LayerJob, image: int, step: Step) -> LayerRun:
    program, outputs = job.program, job.golden.outputs
    given = program.graph.nodes[0].name
    for name in step.reads:
        codes = job.golden.codes if name == given else outputs[name]
        await host.write_tensor(program, name, codes[image])
    await host.write(preparation_writes(program.config, job.settings))
    run = await host.run(program, step, **job.settings)
    check_status(run.status, program.config)
    channels = program.channels(step)
    result = (await host.read_tensor(program, step.target))[channels]
    size = program.config.rows * program.config.cols
    return LayerRun(
        image=image,
        name=step.name,
        shape=result.shape,
        macs=step.macs,
        cycles=run.cycles,
        outputs=result.size,
        mismatches=int(np.count_nonzero(result != outputs[step.target][image][channels])),
        **{name: await host.read_register(name) for name in _GUARD},
        utilization=step.macs / (run.cycles * size),
        spent={name: await host.read_register(name) for name in COUNTERS},
    )
