"""Says which unit of a campaign a free process computes next.

    agenda = Agenda(job, units)
    item = agenda.popleft()              # a unit, or a liveness table
    agenda.done(item, seconds)

The liveness tables of images take seconds, and some structures ask for them: until they are made,
other units come first, and the tables among them. From then on it is the unit of the structure
whose units take longest, as far as that is known: what is short is left for the end, when other
processes run out of work. Which structure that is depends on the machine. What a unit computes does
not.
"""

import math
from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

from .spec import CONTROL, CampaignSpec
from .unit import UnitId


class Part(NamedTuple):
    """The liveness table of an image, or a part of it."""

    image: int
    part: int | None = None


Item = UnitId | Part


class Agenda:
    """The units and the tables that are left.

    Parameters
    ----------
    parts : int
        Of each table, that are made apart; 1: none are.
    """

    def __init__(self, job: CampaignSpec, units: Sequence[UnitId], parts: int = 1):
        self._left: dict[str, deque[UnitId]] = {}
        for unit in units:
            self._left.setdefault(unit.structure, deque()).append(unit)
        asks = job.golden is not None and job.watches_registers
        self._asking = {n for n in self._left if asks and n.partition(".")[0] in CONTROL}
        numbers: Sequence[int | None] = range(parts) if parts > 1 else [None]
        images = range(len(job.codes)) if self._asking else ()
        self._parts = deque(Part(image, number) for image in images for number in numbers)
        self._tables = len(self._parts)
        self._ranks = {name: rank for rank, name in enumerate(self._left)}
        self._taken: Counter[str] = Counter()
        self._seconds: dict[str, tuple[float, int]] = {}
        self._table_next = False

    def __len__(self) -> int:
        return len(self._parts) + sum(map(len, self._left.values()))

    def popleft(self) -> Item:
        """Takes what is next."""
        asking = {name for name, units in self._left.items() if units and name in self._asking}
        others = {name for name, units in self._left.items() if units} - asking
        self._table_next = not self._table_next
        if self._parts and not (others and self._table_next):
            return self._parts.popleft()
        ready = others if self._tables and others else others | asking
        name = max(ready, key=self._costly)
        self._taken[name] += 1
        return self._left[name].popleft()

    def appendleft(self, item: Item) -> None:
        """Puts back what a process did not finish."""
        if isinstance(item, UnitId):
            self._left[item.structure].appendleft(item)
        else:
            self._parts.appendleft(item)

    def asks(self, unit: UnitId) -> bool:
        """Tells whether a unit waits for the tables."""
        return unit.structure in self._asking

    def done(self, item: Item, seconds: float) -> None:
        """Takes note of what an item took."""
        if isinstance(item, UnitId):
            spent, count = self._seconds.get(item.structure, (0.0, 0))
            self._seconds[item.structure] = spent + seconds, count + 1
        else:
            self._tables -= 1

    def _costly(self, name: str) -> tuple[float, int, int]:
        """Orders structures; those of which nothing is known come first, and take turns."""
        spent, count = self._seconds.get(name, (0.0, 0))
        mean = spent / count if count else math.inf
        return mean, 0 if count else -self._taken[name], -self._ranks[name]
