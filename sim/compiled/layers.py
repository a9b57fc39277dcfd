"""Every step of a program on the compiled engine, each with the golden model's input."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.gen.layout import COUNTERS
from holdfast.nn.compiler.program import Program
from holdfast.sim.driver import check_status

from .build import CompiledBuild
from .host import CompiledHost
from .model import CompiledModel

__all__ = ["compiled_steps"]

Codes = NDArray[np.int8]


def compiled_steps(
    build: CompiledBuild,
    program: Program,
    images: Sequence[tuple[Codes, Mapping[str, Codes]]],
    layers: Collection[str],
    settings: Mapping[str, bool],
) -> Iterator[dict[str, Any]]:
    """What `sim.cocotb.network_bench` prints, for every step and image.

    Parameters
    ----------
    images
        Codes of each image and golden tensors by name.
    """
    host = CompiledHost(CompiledModel(build.netlist))
    host.load(program)
    name_of_image = program.graph.nodes[0].name
    for number, (codes, golden) in enumerate(images):
        for step in program.steps:
            if step.name not in layers:
                continue
            for name in step.reads:
                host.write_tensor(program, name, codes if name == name_of_image else golden[name])
            for name in ("guard_output", "guard_input"):
                host.write_register(name, 0)
            cycles, status = host.run(program, step, **settings)
            check_status(status, program.config)
            channels = program.channels(step)
            result = host.read_tensor(program, step.target)[channels]
            yield {
                "image": number,
                "name": step.name,
                "cycles": cycles,
                "outputs": int(result.size),
                "mismatches": int(np.count_nonzero(result != golden[step.target][channels])),
                "guard_output": host.read_register("guard_output"),
                "guard_input": host.read_register("guard_input"),
                "spent": {name: host.read_register(name) for name in COUNTERS},
            }
