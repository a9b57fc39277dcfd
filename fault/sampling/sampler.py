"""Says when faults begin: the part of the space that is hit, and draws of cycles in it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from holdfast.base.errors import HoldfastError
from holdfast.base.text import printable, shown
from holdfast.fault.model.space import State
from holdfast.sim.machine.schedule import Schedule
from holdfast.sim.machine.timeline import DescriptorTimeline

PHASES = ("fetch", "stream", "drain")
"""Of a layer: its descriptor is fetched and checked; pixels enter the array; the pipeline runs
empty."""


@dataclass(frozen=True)
class Filters:
    """Names a part of the space; empty: all of it. What is named twice counts once.

    Attributes
    ----------
    structures, layers, phases : tuple of str
    pattern : str
        Regular expression that occurs in the name of a register or memory.
    pes : tuple of (row, column)
        Only registers of these processing elements.

    Raises
    ------
    HoldfastError
        The pattern is not valid.
    """

    structures: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    pattern: str = ""
    pes: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, tuple):
                object.__setattr__(self, name, tuple(dict.fromkeys(value)))
        try:
            re.compile(self.pattern)
        except (re.error, OverflowError, RecursionError, ValueError) as error:
            # A count that no machine has, and brackets nested too deep.
            reason = "it is nested too deep" if isinstance(error, RecursionError) else error
            raise HoldfastError(
                f"pattern {shown(self.pattern)} is not valid: {printable(reason, 200)}."
            ) from None


class Sampler:
    """Draws cycles uniformly from those of some layers and phases.

    Attributes
    ----------
    layers : tuple of str
        Layers in which faults begin; empty: all.
    window : list of (begin, end)
        Cycles in which faults begin.
    unit : str
        What is drawn, for texts.
    uniform : bool
        Whether every cycle is as likely; only then can all faults be tried, each once.

    Raises
    ------
    HoldfastError
        A filter names what does not exist.
    """

    unit: ClassVar[str] = "cycles"
    uniform: ClassVar[bool] = True

    def __init__(self, schedule: Schedule, filters: Filters):
        check_known("layer", filters.layers, [step.name for step in schedule.program.steps])
        check_known("phase", filters.phases, PHASES)
        self.schedule, self.filters = schedule, filters
        self.layers = self._layers()
        self.window = self._window()

    def _layers(self) -> tuple[str, ...]:
        return self.filters.layers

    def _window(self) -> list[tuple[int, int]]:
        phases = self.filters.phases
        if not self.layers and not phases:
            return [(0, self.schedule.cycles)]
        return sorted(
            bounds
            for run in self.schedule.runs
            if not self.layers or run.step.name in self.layers
            for name, bounds in phase_bounds(run).items()
            if not phases or name in phases
        )

    def covers(self, state: State) -> bool:
        """Tells whether faults in a register or memory are drawn at all."""
        return True

    def count(self) -> int:
        """Counts the moments in which a fault may begin."""
        return sum(end - begin for begin, end in self.window)

    def draw(self, generator: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Draws numbers of moments, with replacement."""
        return generator.integers(self.count(), size=count)

    def cycles(self, moments: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the cycles of some moments, by their numbers."""
        begins = np.array([begin for begin, _ in self.window])
        before = np.cumsum([0] + [end - begin for begin, end in self.window])
        part = np.searchsorted(before, moments, side="right") - 1
        return begins[part] + moments - before[part]

    def delay(self, state: State) -> int:
        """Returns by how many cycles faults in a register or memory begin later."""
        return 0


MakeSampler = Callable[[Schedule, Filters], Sampler]


def phase_bounds(run: DescriptorTimeline) -> dict[str, tuple[int, int]]:
    """Returns begin and end of every phase of a descriptor's run."""
    first, last = int(run.start[0]), int(run.start[-1]) + run.pixels
    begin = 0 if run.index == 0 else run.fetch
    return {"fetch": (begin, first), "stream": (first, last), "drain": (last, run.end)}


def check_known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Raises a HoldfastError where a name is not among the known ones."""
    for name in names:
        if name not in known:
            raise HoldfastError(
                f"{what} {shown(name)} does not exist; known are {', '.join(known)}."
            )
