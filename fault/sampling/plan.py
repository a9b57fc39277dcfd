"""Says what a campaign injects: the fault space times the cycles, its strata, and the draws.

    plan = Plan(space, schedule, model, Filters(structures=("weight",)))
    counts = plan.allocate(plan.faults(margin=0.005, confidence=0.95))
    upsets = plan.draw("weight", unit=3, count=1000, seed=7)

A stratum is a structure, or with a division (`fault.sampling.division`) a part of one. The draws of
a unit depend on the seed, the stratum and the unit's number alone, so that units can be computed in
any order, and more can follow. A structure of no more faults than are to be drawn is tried whole
instead, every fault once.
"""

import math
import re
import zlib
from collections.abc import Mapping
from functools import cached_property

import numpy as np

from holdfast.base.errors import HoldfastError
from holdfast.base.statistics import sample_size
from holdfast.base.text import shown
from holdfast.fault.analysis.closed_forms import rtl_alone
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.models.base import FaultModel
from holdfast.fault.model.models.upset import UpsetModel
from holdfast.fault.model.space import FaultSpace, State
from holdfast.sim.machine.schedule import Schedule

from .cells import Cells
from .division import Division
from .sampler import Filters, MakeSampler, Sampler, check_known

MOST_FAULTS = 100_000_000
"""Of a campaign: a month of computing."""
_BATCH = 1 << 18
"""Faults that are drawn at once to find those of a stratum."""


class Plan:
    """Knows the population of a campaign.

    Attributes
    ----------
    space : FaultSpace
        What is injected into.
    sampler : Sampler
        When.
    excluded : dict of int
        Bits of the netlist that are not in ``space``, by structure.
    division : Division or None
        Strata within structures.

    Raises
    ------
    HoldfastError
        A filter names what does not exist or the sampler does not know, or nothing is left.
    """

    def __init__(
        self,
        whole: FaultSpace,
        schedule: Schedule,
        model: FaultModel,
        filters: Filters,
        sampler: MakeSampler = Sampler,
        division: Division | None = None,
    ):
        self.division = division
        self.model, self.filters, self.schedule, self.whole = model, filters, schedule, whole
        check_known("structure", filters.structures, whole.structures)
        self.sampler = sampler(schedule, filters)
        pattern = re.compile(filters.pattern)

        def wanted(state: State) -> bool:
            if filters.structures and state.structure not in filters.structures:
                return False
            place = state.held.place
            if filters.pes and (place.get("row"), place.get("col")) not in filters.pes:
                return False
            if not self.sampler.covers(state) or not model.places(whole, state):
                return False
            return bool(pattern.search(state.signal))

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
        if not self.sampler.window:
            raise HoldfastError(f"no cycle is left by {_described(filters)}.")

    @cached_property
    def cycles(self) -> int:
        """Moments in which a fault may begin: `Sampler.unit` says what they are."""
        return self.sampler.count()

    @property
    def structures(self) -> tuple[str, ...]:
        """Structures that are hit."""
        return self.space.structures

    @cached_property
    def population(self) -> dict[str, int]:
        """Returns faults of every structure: places of the adjacent bits times cycles."""
        return {name: self._places(name) * self.cycles for name in self.structures}

    @property
    def sizes(self) -> Mapping[str, int]:
        """Returns faults of every stratum."""
        return self.population if self.division is None else self.division.sizes

    def strata(self, structure: str) -> list[str]:
        """Returns the strata of a structure."""
        return [structure] if self.division is None else self.division.strata(structure)

    @cached_property
    def cells(self) -> Cells:
        """What a division is made of.

        Raises
        ------
        HoldfastError
            The faults are not upsets, or not of all cycles alike.
        """
        if not isinstance(self.model, UpsetModel):
            raise HoldfastError("a pilot says where upsets matter, not stuck bits.")
        if not self.sampler.uniform:
            raise HoldfastError("a pilot is for faults of all cycles, not of first products alone.")
        known = not rtl_alone(self.schedule.program.config)
        return Cells(self.space, self.schedule, self.model, self.sampler, known)

    @property
    def total(self) -> int:
        """Returns all faults."""
        return sum(self.population.values())

    def faults(self, margin: float, confidence: float) -> int:
        """Returns how many faults to draw for an error margin (Leveugle et al., DATE 2009).

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
        if 2 * need > self.total and self.sampler.uniform:
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
        """Returns faults of each stratum: in proportion to its population, but at least the
        minimum, and no more than there are.

        Raises
        ------
        HoldfastError
            The count is not positive.
        """
        if count < 1:
            raise HoldfastError(f"a campaign needs at least 1 fault, not {count}.")
        if self.division is not None:
            return self.division.allocate(count, minimum)
        result = {}
        for name, size in self.population.items():
            share = math.ceil(count * size / self.total)
            most = size if self.sampler.uniform else share
            result[name] = max(min(minimum, size), min(share, most))
        return result

    def tried_whole(self, counts: Mapping[str, int]) -> frozenset[str]:
        """The strata that so many faults are all of: each is tried once, nothing is estimated.

        None is where the sampler's draws are not uniform over the stratum, or with a division.
        """
        if not self.sampler.uniform or self.division is not None:
            return frozenset()
        return frozenset(name for name, size in self.population.items() if counts.get(name) == size)

    def every(self, structure: str, first: int, count: int) -> list[Fault]:
        """Returns so many of a stratum's faults from one on, each once."""
        places, moments = np.divmod(np.arange(first, first + count), self.cycles)
        return self._at(structure, places, moments)

    def draw(self, stratum: str, unit: int, count: int, seed: int) -> list[Fault]:
        """Draws the faults of a unit, with replacement."""
        generator = np.random.default_rng([seed, zlib.crc32(stratum.encode()), unit])
        if self.division is not None:
            return self._within(self.division, stratum, generator, count)
        places = generator.integers(self._places(stratum), size=count)
        return self._at(stratum, places, self.sampler.draw(generator, count))

    def _within(
        self, division: Division, stratum: str, generator: np.random.Generator, count: int
    ) -> list[Fault]:
        """Draws from a structure until there are so many of the stratum."""
        structure = division.structure(stratum)
        chance = division.sizes[stratum] / self.population[structure]
        # Whatever the count, so that more faults continue fewer.
        size = min(_BATCH, math.ceil(256 / chance))
        found: list[Fault] = []
        while len(found) < count:
            places = generator.integers(self._places(structure), size=size)
            moments = self.sampler.draw(generator, size)
            cells = self.cells.of(
                structure, *self._owners(structure, places), self.sampler.cycles(moments)
            )
            here = np.flatnonzero(division.inside(stratum, cells))[: count - len(found)]
            found += self._at(structure, places[here], moments[here])
        return found

    def _owners(self, structure: str, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the registers and memories that places belong to, and the places in them."""
        starts, _ = self._starts[structure]
        owners = np.searchsorted(starts, places, side="right") - 1
        return owners, places - starts[owners]

    def _at(self, structure: str, places: np.ndarray, moments: np.ndarray) -> list[Fault]:
        """Faults by the numbers of their places and of the moments in which they begin."""
        _, states = self._starts[structure]
        owners, within = self._owners(structure, places)
        cycles = self.sampler.cycles(moments)
        parts = zip(owners.tolist(), within.tolist(), cycles.tolist(), strict=True)
        return [
            self.model.fault(
                self.whole, states[owner], place, cycle + self.sampler.delay(states[owner])
            )
            for owner, place, cycle in parts
        ]

    def _places(self, structure: str) -> int:
        return sum(self.model.places(self.whole, s) for s in self.space.members(structure))

    @cached_property
    def _starts(self) -> Mapping[str, tuple[np.ndarray, tuple[State, ...]]]:
        result = {}
        for name in self.structures:
            members = self.space.members(name)
            sizes = [self.model.places(self.whole, s) for s in members]
            result[name] = np.cumsum([0, *sizes[:-1]]), members
        return result


def _described(filters: Filters) -> str:
    parts = [f"{key} {shown(value)}" for key, value in vars(filters).items() if value]
    return ", ".join(parts) or "the fault model's width"
