"""What a campaign injects: the fault space times the cycles, its strata, and the draws.

    plan = Plan(space, schedule, model, Filters(structures=("weight",)))
    counts = plan.allocate(plan.faults(margin=0.005, confidence=0.95))
    upsets = plan.draw("weight", unit=3, count=1000, seed=7)

A stratum is a structure. The draws of a unit depend on the seed, the structure and the unit's
number alone, so that units can be computed in any order, and more can follow. A stratum of no more
faults than are to be drawn is tried whole instead, every fault once.
"""

import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from holdfast.base.errors import HoldfastError
from holdfast.base.statistics import sample_size
from holdfast.base.text import printable, shown
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import FaultSpace, Site, State
from holdfast.fault.peers.shortcuts import (
    EXACT,
    STRUCTURES,
    Shortcuts,
    convolutions,
    delay,
    first_macs,
)
from holdfast.sim.machine.timeline import DescriptorTimeline, Schedule

__all__ = ["MOST_FAULTS", "PHASES", "Filters", "Plan", "UpsetModel", "phase_bounds"]

PHASES = ("fetch", "stream", "drain")
"""Of a layer: its descriptor is fetched and checked; pixels enter the array; the pipeline runs
empty."""
MOST_FAULTS = 100_000_000
"""Of a campaign: a month of computing."""


@dataclass(frozen=True)
class UpsetModel:
    """What happens to the drawn bit.

    Attributes
    ----------
    bits : int
        Adjacent bits of a register or word that are wrong together, 1 to 4.
    stuck : int or None
        None: inverted once; 0 or 1: held.
    duration : int
        Cycles for which they are held; 0: to the end of the inference.

    Raises
    ------
    HoldfastError
        A value is outside its bounds.
    """

    bits: int = 1
    stuck: int | None = None
    duration: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 4:
            raise HoldfastError(f"a fault has 1 to 4 adjacent bits, not {self.bits}.")
        if self.stuck not in (None, 0, 1):
            raise HoldfastError(f"a bit can be stuck at 0 or 1, not {self.stuck}.")
        if self.duration < 0:
            raise HoldfastError(f"a duration is 0 or more cycles, not {self.duration}.")
        if self.duration and self.stuck is None:
            raise HoldfastError("only stuck bits have a duration.")


@dataclass(frozen=True)
class Filters:
    """Which part of the space; empty: all of it. What is named twice counts once.

    Attributes
    ----------
    structures, layers, phases : tuple of str
    pattern : str
        Regular expression that occurs in the name of a register or memory.
    pes : tuple of (row, column)
        Only registers of these processing elements.
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


class Plan:
    """The population of a campaign.

    Attributes
    ----------
    space : FaultSpace
        What is injected into.
    window : list of (begin, end)
        Cycles in which faults begin, or with `Shortcuts.first_mac` the layers' in which they do.
    excluded : dict of int
        Bits of the netlist that are not in ``space``, by structure.

    Raises
    ------
    HoldfastError
        A filter names what does not exist or a shortcut does not know, or nothing is left.
    """

    def __init__(
        self,
        whole: FaultSpace,
        schedule: Schedule,
        model: UpsetModel,
        filters: Filters,
        shortcuts: Shortcuts = EXACT,
    ):
        self.model, self.filters, self.schedule = model, filters, schedule
        self.whole, self.shortcuts = whole, shortcuts
        _known("structure", filters.structures, whole.structures)
        _known("layer", filters.layers, [step.name for step in schedule.program.steps])
        _known("phase", filters.phases, PHASES)
        if shortcuts.any:
            _covered("structure", filters.structures, STRUCTURES, shortcuts)
            _covered("layer", filters.layers, convolutions(schedule.program), shortcuts)
        if shortcuts.first_mac and filters.phases:
            raise HoldfastError("--cycles first-mac says itself when, without --phases.")
        pattern = _compiled(filters.pattern)

        def wanted(state: State) -> bool:
            if shortcuts.any and delay(state.held) is None:
                return False
            if filters.structures and state.structure not in filters.structures:
                return False
            place = state.held.place
            if filters.pes and (place.get("row"), place.get("col")) not in filters.pes:
                return False
            return state.width >= model.bits and bool(pattern.search(state.signal))

        array = schedule.program.config
        for row, col in filters.pes:
            if row >= array.rows or col >= array.cols:
                raise HoldfastError(
                    f"processing element {row}.{col} does not exist; "
                    f"they are 0.0 to {array.rows - 1}.{array.cols - 1}."
                )
        states = tuple(state for state in whole.states if wanted(state))
        if not states:
            raise HoldfastError(f"no register or memory is left by {_described(filters)}.")
        self.space = FaultSpace(states)
        kept = {name: self.space.bits(name) for name in self.space.structures}
        self.excluded = {
            name: whole.bits(name) - kept.get(name, 0)
            for name in whole.structures
            if whole.bits(name) > kept.get(name, 0)
        }
        self.window = self._cycles()
        if not self.window:
            raise HoldfastError(f"no cycle is left by {_described(filters)}.")

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers in which faults begin; empty: all."""
        if self.filters.layers or not self.shortcuts.any:
            return self.filters.layers
        return convolutions(self.schedule.program)

    def _cycles(self) -> list[tuple[int, int]]:
        filters, layers = self.filters, self.layers
        if not layers and not filters.phases:
            return [(0, self.schedule.cycles)]
        window = []
        for run in self.schedule.runs:
            if layers and run.step.name not in layers:
                continue
            for name in PHASES:
                if filters.phases and name not in filters.phases:
                    continue
                begin, end = phase_bounds(run)[name]
                window.append((begin, end))
        return sorted(window)

    @cached_property
    def cycles(self) -> int:
        """Cycles in which a fault may begin; with `Shortcuts.first_mac`, tiles."""
        if self.shortcuts.first_mac:
            return sum(len(moments) for moments in self._moments)
        return sum(end - begin for begin, end in self.window)

    @property
    def structures(self) -> tuple[str, ...]:
        """The strata."""
        return self.space.structures

    @cached_property
    def population(self) -> dict[str, int]:
        """Faults of every stratum: places of the adjacent bits times cycles."""
        return {name: self._places(name) * self.cycles for name in self.structures}

    @property
    def total(self) -> int:
        """All faults."""
        return sum(self.population.values())

    def faults(self, margin: float, confidence: float) -> int:
        """Faults to draw for an error margin (Leveugle et al., DATE 2009).

        Raises
        ------
        HoldfastError
            A value is outside its bounds, or there are too many to try all, and too few to draw
            them independently.
        """
        if not 0 < margin < 1:
            raise HoldfastError(f"the margin must be above 0 and below 1, not {margin}.")
        if not 0 < confidence < 1:
            raise HoldfastError(f"the confidence must be above 0 and below 1, not {confidence}.")
        need = math.ceil(sample_size(self.total, margin, confidence))
        if 2 * need > self.total and not self.shortcuts.first_mac:
            need = self.total
        elif 2 * need > self.total:
            raise HoldfastError(
                f"a margin of {margin:g} at a confidence of {confidence:g} needs {need:,} faults, "
                f"too many of the {self.total:,} that exist to be drawn independently."
            )
        if need > MOST_FAULTS:
            raise HoldfastError(
                f"a margin of {margin:g} at a confidence of {confidence:g} needs {need:,} faults, "
                f"a campaign has at most {MOST_FAULTS:,}."
            )
        return need

    def allocate(self, count: int, minimum: int) -> dict[str, int]:
        """Faults of each stratum: in proportion to its population, but at least the minimum, and
        no more than there are.

        Raises
        ------
        HoldfastError
            The count is not positive.
        """
        if count < 1:
            raise HoldfastError(f"a campaign needs at least 1 fault, not {count}.")
        result = {}
        for name, size in self.population.items():
            share = math.ceil(count * size / self.total)
            most = share if self.shortcuts.first_mac else size
            result[name] = max(min(minimum, size), min(share, most))
        return result

    def tried_whole(self, counts: Mapping[str, int]) -> frozenset[str]:
        """The strata that so many faults are all of: each is tried once, nothing is estimated.

        Those of `Shortcuts.first_mac` never are: its draws are not uniform over the stratum.
        """
        if self.shortcuts.first_mac:
            return frozenset()
        return frozenset(name for name, size in self.population.items() if counts.get(name) == size)

    def every(self, structure: str, first: int, count: int) -> list[Fault]:
        """So many of a stratum's faults from one on, each once."""
        places, moments = np.divmod(np.arange(first, first + count), self.cycles)
        return self._at(structure, places, moments)

    def draw(self, structure: str, unit: int, count: int, seed: int) -> list[Fault]:
        """The faults of a unit, with replacement: uniform over the stratum, or as
        `fault.peers.shortcuts` says.
        """
        generator = np.random.default_rng([seed, zlib.crc32(structure.encode()), unit])
        places = generator.integers(self._places(structure), size=count)
        if self.shortcuts.first_mac:
            layers = generator.integers(len(self._moments), size=count)
            sizes = np.array([len(moments) for moments in self._moments])
            tiles = generator.integers(sizes[layers])
            return [
                self._upset(structure, int(place), int(self._moments[layer][tile]))
                for place, layer, tile in zip(places, layers, tiles, strict=True)
            ]
        return self._at(structure, places, generator.integers(self.cycles, size=count))

    def _at(self, structure: str, places: np.ndarray, moments: np.ndarray) -> list[Fault]:
        """Faults by the numbers of their places and of the cycles in which they begin."""
        begins = np.array([begin for begin, _ in self.window])
        before = np.cumsum([0] + [end - begin for begin, end in self.window])
        part = np.searchsorted(before, moments, side="right") - 1
        cycles = begins[part] + moments - before[part]
        return [
            self._upset(structure, int(place), int(cycle))
            for place, cycle in zip(places, cycles, strict=True)
        ]

    def _upset(self, structure: str, place: int, cycle: int) -> Fault:
        starts, states = self._starts[structure]
        position = int(np.searchsorted(starts, place, side="right")) - 1
        state = states[position]
        each = state.width - self.model.bits + 1
        word, bit = divmod(place - int(starts[position]), each)
        address = word if state.kind == "memory" else None
        bits = tuple(Site(state.signal, address, bit + k) for k in range(self.model.bits))
        if self.shortcuts.first_mac:
            cycle += delay(state.held) or 0
        return Fault(bits, cycle, self.model.stuck, self.model.duration)

    @cached_property
    def _moments(self) -> list[np.ndarray]:
        return [first_macs(self.schedule, layer) for layer in self.layers]

    def _places(self, structure: str) -> int:
        return sum(
            (state.width - self.model.bits + 1) * state.depth
            for state in self.space.members(structure)
        )

    @cached_property
    def _starts(self) -> Mapping[str, tuple[np.ndarray, tuple[State, ...]]]:
        result = {}
        for name in self.structures:
            members = self.space.members(name)
            sizes = [(s.width - self.model.bits + 1) * s.depth for s in members]
            result[name] = np.cumsum([0, *sizes[:-1]]), members
        return result


def phase_bounds(run: DescriptorTimeline) -> dict[str, tuple[int, int]]:
    """Begin and end of every phase of a descriptor's run."""
    first, last = int(run.start[0]), int(run.start[-1]) + run.pixels
    begin = 0 if run.index == 0 else run.fetch
    return {"fetch": (begin, first), "stream": (first, last), "drain": (last, run.end)}


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError, ValueError) as error:
        # A count that no machine has, and brackets nested too deep.
        reason = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise HoldfastError(
            f"pattern {shown(pattern)} is not valid: {printable(reason, 200)}."
        ) from None


def _known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise HoldfastError(
                f"{what} {shown(name)} does not exist; known are {', '.join(known)}."
            )


def _covered(what: str, names: Sequence[str], covered: Sequence[str], shortcuts: Shortcuts) -> None:
    for name in names:
        if name not in covered:
            raise HoldfastError(
                f"{shortcuts} is for processing elements in convolutions, "
                f"not {what} {shown(name)}; possible are {', '.join(covered)}."
            )


def _described(filters: Filters) -> str:
    parts = [f"{key} {shown(value)}" for key, value in vars(filters).items() if value]
    return ", ".join(parts) or "the fault model's width"
