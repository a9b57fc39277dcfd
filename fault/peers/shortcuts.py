"""Shortcuts of a published injector, as options, so that their bias can be measured.

    Shortcuts(cycles="first-mac", requantize="tile")

ENFOR-SA (VTS 2026; its public code of February 2026) simulates one DIM x DIM x DIM tile of a matrix
product in RTL: DIM output pixels, DIM output channels, DIM of the reduction. Here DIM is the
array's rows, and a tile is one block of as many consecutive output pixels within one output tile
and one slice of the reduction (kernel position and channel block).

``first-mac``
    A fault strikes one layer, each as often as any other, one tile of it, all alike, and the
    register when it holds its part of the processing element's first multiply-accumulate of that
    tile. All that follows is exact.
``slice``
    Of an upset, only the slice that it strikes first is looked at, and requantized alone:
    `fault.peers.slice`.
``tile``
    As ``slice``, and only the tile's pixels.

All are for registers of processing elements in convolutions. None is what the hardware does.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown
from holdfast.fault.analysis.closed_forms import CLOSED_FORMS, rtl_alone
from holdfast.fault.analysis.layer_outputs import LayerOutputs, Points
from holdfast.fault.model.space import State
from holdfast.fault.sampling.sampler import Filters, Sampler
from holdfast.gen.roles import Held, Role
from holdfast.nn.compiler.program import Program
from holdfast.nn.graph.graph import ConcatNode, ConvNode, DenseNode
from holdfast.sim.machine.schedule import Schedule
from holdfast.sim.machine.timeline import DescriptorTimeline

from .slice import SlicePoints

STRUCTURES = ("pe_activation", "weight", "partial_sum")
"""Those that processing elements have."""
_DELAYS = {
    Role.PE_WEIGHT: 0,
    Role.PE_SHADOW: 0,
    Role.PE_ACTIVATION: 1,
    Role.PE_PRODUCT: 1,
    Role.PE_PARTIAL_SUM: 2,
}
"""Cycles from the one that ends with a processing element's multiplication."""


@dataclass(frozen=True)
class Shortcuts:
    """Holds what a campaign leaves out.

    Attributes
    ----------
    cycles : str
        ``all``, or ``first-mac``.
    requantize : str
        ``sum``: what the hardware requantizes; or ``slice``, ``tile``.

    Raises
    ------
    HoldfastError
        There is no such shortcut.
    """

    cycles: str = "all"
    requantize: str = "sum"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("cycles", self.cycles, ("all", "first-mac")),
            ("requantize", self.requantize, ("sum", "slice", "tile")),
        ):
            if value not in known:
                raise HoldfastError(f"--{name} is one of {', '.join(known)}, not {shown(value)}.")

    @property
    def first_mac(self) -> bool:
        return self.cycles == "first-mac"

    @property
    def alone(self) -> bool:
        """Tells whether a part of the sum is requantized alone."""
        return self.requantize != "sum"

    @property
    def any(self) -> bool:
        return self.first_mac or self.alone

    def sampler(self, schedule: Schedule, filters: Filters) -> Sampler:
        """Returns what draws the moments of faults; a HoldfastError where filters do not fit."""
        if not self.any:
            return Sampler(schedule, filters)
        for what, names, covered in (
            ("structure", filters.structures, STRUCTURES),
            ("layer", filters.layers, convolutions(schedule.program)),
        ):
            for name in names:
                if name not in covered:
                    raise HoldfastError(
                        f"{self} is for processing elements in convolutions, "
                        f"not {what} {shown(name)}; possible are {', '.join(covered)}."
                    )
        return (_FirstMac if self.first_mac else _ProcessingElements)(schedule, filters)

    def points(self, layers: LayerOutputs) -> Points | None:
        """Returns what decides differences of sums instead of the hardware's requantization."""
        return SlicePoints(layers, self.requantize == "tile") if self.alone else None

    def __str__(self) -> str:
        parts = ["a draw of first products"] * self.first_mac
        parts += [f"a {self.requantize} that is requantized alone"] * self.alone
        return " and ".join(parts)

    def check(self, program: Program, single_upsets: bool, guarded: bool, audit: float) -> None:
        """Refuses what a part of the sum cannot tell.

        Parameters
        ----------
        single_upsets : bool
            Every fault inverts one bit once.
        guarded : bool
            The range guard is on.
        audit : float
            Share of the faults that plain RTL computes again.

        Raises
        ------
        HoldfastError
            Names what does not go together.
        """
        if not self.alone:
            return
        what = f"a {self.requantize} that is requantized alone"
        if not single_upsets:
            raise HoldfastError(f"{what} takes single-bit upsets only.")
        if guarded:
            raise HoldfastError(f"{what} needs the guard off: a part of a sum has no bounds.")
        if audit:
            raise HoldfastError(
                f"{what} is not what the RTL computes, which therefore cannot audit it: give "
                "an audit of 0."
            )
        if rtl_alone(program.config):
            raise HoldfastError(
                f"{what} is for the dataflow {', '.join(CLOSED_FORMS)} without added "
                "protections: RTL alone decides the faults of others."
            )
        for step in program.steps:
            joined = isinstance(program.graph[step.target], ConcatNode)
            if joined and step.name in convolutions(program):
                raise HoldfastError(
                    f"{what} does not know concatenations: layer {step.name} writes into "
                    f"{step.target}."
                )


EXACT = Shortcuts()


def convolutions(program: Program) -> tuple[str, ...]:
    """Layers that the shortcuts know."""
    return tuple(
        step.name
        for step in program.steps
        if any(
            isinstance(node := program.graph[name], ConvNode) and not isinstance(node, DenseNode)
            for name in step.nodes
        )
    )


def delay(held: Held) -> int | None:
    """Returns cycles from the first row's activation at the array's edge to that in which a
    register of a processing element holds what belongs to it; None of other registers.
    """
    if held.role not in _DELAYS:
        return None
    return int(held.place["row"]) + int(held.place["col"]) + _DELAYS[held.role]


def pixel_blocks(run: DescriptorTimeline) -> NDArray[np.int64]:
    """Returns the first pixel of every block of pixels."""
    return np.arange(0, run.pixels, run.config.rows)


def first_macs(schedule: Schedule, layer: str) -> NDArray[np.int64]:
    """Cycles in which the first pixel of each of a layer's tiles is at the array's edge."""
    moments = [
        (run.start[:, None] + pixel_blocks(run)).ravel() + run.timing.enter
        for run in schedule.runs
        if run.step.name == layer
    ]
    return np.concatenate(moments)


class _ProcessingElements(Sampler):
    """Draws as `Sampler` from processing elements in convolutions."""

    def _layers(self) -> tuple[str, ...]:
        return self.filters.layers or convolutions(self.schedule.program)

    def covers(self, state: State) -> bool:
        return delay(state.held) is not None


class _FirstMac(_ProcessingElements):
    """Draws a layer, and one of its tiles; a fault begins with the tile's first product."""

    unit = "tiles"
    uniform = False

    def __init__(self, schedule: Schedule, filters: Filters):
        super().__init__(schedule, filters)
        if filters.phases:
            raise HoldfastError("first products have phases of their own: name none.")
        self._moments = [first_macs(schedule, layer) for layer in self.layers]

    def count(self) -> int:
        return sum(len(moments) for moments in self._moments)

    def draw(self, generator: np.random.Generator, count: int) -> NDArray[np.int64]:
        sizes = np.array([len(moments) for moments in self._moments])
        layers = generator.integers(len(sizes), size=count)
        return (np.cumsum(sizes) - sizes)[layers] + generator.integers(sizes[layers])

    def cycles(self, moments: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.concatenate(self._moments)[moments]

    def delay(self, state: State) -> int:
        return delay(state.held) or 0
