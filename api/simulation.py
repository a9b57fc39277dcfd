"""A network on the RTL, layer by layer, against the golden model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from holdfast.base.extras import needed
from holdfast.base.options import LAST_SEED, check_whole

from .design import Accelerator
from .given import check_kind, names_of, path_of

if TYPE_CHECKING:
    from holdfast.nn.graph.graph import Graph


@dataclass(frozen=True)
class Simulation:
    """Holds what the RTL did.

    Attributes
    ----------
    layers : sequence of mappings
        A layer on an image each: ``name``, ``image``, ``macs``, ``cycles``, ``outputs``,
        ``mismatches`` and more.
    """

    layers: Sequence[dict[str, Any]]

    @property
    def exact(self) -> bool:
        """Tells whether every output is the golden model's."""
        return not any(layer["mismatches"] for layer in self.layers)

    @property
    def cycles(self) -> int:
        """Returns clock cycles of all layers on all images."""
        return sum(layer["cycles"] for layer in self.layers)

    def table(self) -> pa.Table:
        """Returns a row for each layer and image."""
        names = ("name", "image", "macs", "cycles", "outputs", "mismatches")
        return pa.Table.from_pylist([{name: row[name] for name in names} for row in self.layers])


def run(
    network: "Graph",
    accelerator: Accelerator,
    images: int = 1,
    *,
    layers: Sequence[str] = (),
    data: str | Path | None = None,
    seed: int = 1,
) -> Simulation:
    """Runs layers on the simulated RTL and compares every output with the golden model.

    Parameters
    ----------
    layers : sequence of str
        Names of layers; empty: all.
    data : str, Path or None
        CIFAR-10; where there is none, images are generated.

    Raises
    ------
    HoldfastError
        A value is out of its bounds or of another kind, or a tool is missing.
    """
    with needed():
        from holdfast.fault.simulation import chosen_steps, prepare, simulate
        from holdfast.nn.compiler.compiler import compile_graph
        from holdfast.nn.graph.guard_modes import GUARDS
        from holdfast.sim.compiled.build import build_compiled
        from holdfast.sim.netlist.accelerator import accelerator_netlist
    check_whole(0, LAST_SEED, seed=seed)
    check_kind(Accelerator, "an Accelerator", accelerator=accelerator)
    folder, chosen = path_of("data", data), names_of("layers", layers)
    config = accelerator.hardware(network)
    guard = GUARDS[accelerator.guard_setting(config)]
    program = compile_graph(network, config)
    steps = chosen_steps(program, chosen)
    setup = prepare(program, guard, images, folder, seed)
    found = simulate(setup, build_compiled(accelerator_netlist(config)), steps)
    return Simulation(found.summary()["layers"])
