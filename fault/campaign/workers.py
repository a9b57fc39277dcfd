"""Work units of a campaign, here or on other machines.

    for unit, content, spent in run_units(job, units, processes=2):
        store.add(unit, content)

A unit is a number of faults of one structure; what it computes depends on the job and the unit's
name alone. Processes that die are replaced, and what they were doing is done again.
"""

import contextlib
import hashlib
import pickle
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import partial
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from holdfast.base.artefact import damage
from holdfast.base.memory import unload
from holdfast.base.pool import in_processes
from holdfast.fault.analysis.liveness import LivenessParts, LivenessTable, part_length
from holdfast.fault.analysis.resolver import MadeWhenAsked
from holdfast.fault.injection.session import RtlSession
from holdfast.fault.injection.trace import Trace
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.purpose import of_guard
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.sampling.plan import Plan
from holdfast.fault.sampling.sampler import phase_bounds
from holdfast.nn.graph.reference import Reference
from holdfast.sim.machine.schedule import Schedule

from .agenda import Agenda, Item
from .engine import Engine, FaultOutcome
from .golden_runs import liveness_part, liveness_table, liveness_tables, watched
from .shard import PATTERN_SCHEMA, SCHEMA, pack, shard_schema
from .spec import CampaignSpec, UnitStatistics
from .unit import UnitId

_NO_PATTERN = dict.fromkeys(set(PATTERN_SCHEMA.names) - set(SCHEMA.names))
_FOUND = [each.name for each in fields(FaultOutcome) if each.name in SCHEMA.names]
_ENGINES = 16
"""Images of which a process keeps what it has found out: some 6 MB each."""
_BREAKS = 20
"""Times that the processes may die without a unit in between."""
_DIED = (
    f"worker processes died {_BREAKS + 1} times without finishing a unit; is there enough memory?"
)


class Worker:
    """Computes units."""

    def __init__(self, job: CampaignSpec):
        self.job = job
        self.inference = RtlSession(job.program, job.netlist, job.guard, job.spacing)
        self.inference.together = job.watches_registers
        self.space = FaultSpace.of(job.netlist)
        schedule = self.inference.schedule
        self.plan = Plan(
            self.space, schedule, job.model, job.filters, job.shortcuts.sampler, job.division
        )
        self._engines: dict[int, Engine] = {}
        self._saved: dict[int, bool] = {}
        self._mapped: dict[int, list[NDArray]] = {}
        self._parts: tuple[int, LivenessParts] | None = None
        self._phases: dict[int, dict[str, tuple[int, int]]] = {}

    def engine(self, image: int) -> Engine:
        """Returns the engine of an image."""
        if image not in self._engines:
            if len(self._engines) >= _ENGINES:
                # All images come in turn: the last one would be the first to be missed.
                del self._mapped[self._engines.popitem()[0]]
            job = self.job
            folder = job.golden / str(image) if job.golden else None
            if image not in self._saved:
                # On another machine there is none; one that is damaged is not taken.
                self._saved[image] = folder is not None and not damage(folder)
            saved = self._saved[image]
            reference = liveness = None
            if saved and folder:
                trace = Trace.load(folder)
                reference = Reference.load(folder, job.program.graph)
            else:
                trace = self.inference.record(job.codes[image])
            if saved and job.watches_registers:
                # Most faults do not ask, and need not wait for it.
                liveness = MadeWhenAsked(watched(job.netlist), partial(self.table, image))
            self._mapped[image] = [getattr(trace, field.name) for field in fields(trace)]
            self._engines[image] = Engine(
                self.inference, job.codes[image], trace, liveness, job.shortcuts, job.patterns,
                reference,
            )  # fmt: skip
        return self._engines[image]

    def table(self, image: int) -> LivenessTable:
        """Returns the liveness table of an image, made if nobody has."""
        self._parts = None
        self.engine(image).take()
        table = liveness_table(self.job, image, self.inference)
        self._mapped[image] += [table.seen, table.ended]
        return table

    def analyse(self, image: int, part: int) -> None:
        """Makes a part of an image's liveness table."""
        self.engine(image).take()
        liveness_part(self.job, image, part, partial(self._parts_of, image))

    def _parts_of(self, image: int) -> LivenessParts:
        if self._parts is None or self._parts[0] != image:
            names = watched(self.job.netlist)
            self._parts = (
                image, LivenessParts(self.job.netlist, self.inference.lockstep, names)
            )  # fmt: skip
        return self._parts[1]

    def compute(self, unit: UnitId) -> tuple[bytes, UnitStatistics]:
        """Computes a unit's shard, and what it took."""
        job = self.job
        structure, number = unit.structure, unit.number
        first, count = number * job.size, job.faults(unit)
        before, where = self._origin(structure)
        # Every unit of a structure draws as many, so that a larger campaign continues a smaller;
        # strata's draws go on from a smaller number as they are.
        drawn = count if job.division else job.size
        if structure in self.plan.tried_whole(job.counts):
            upsets = self.plan.every(structure, first, count)
        else:
            upsets = self.plan.draw(structure, number, drawn, job.seed)[:count]
        generator = np.random.default_rng([job.seed, 1, zlib.crc32(str(unit).encode())])
        spent = UnitStatistics()
        schema = shard_schema(job.patterns, job.division is not None)
        columns: dict[str, list] = {name: [] for name in schema.names}
        for image in range(len(job.codes)):
            engine = self.engine(image)
            chosen = np.flatnonzero(generator.random(job.size) < job.audit)
            began = time.perf_counter()
            computed = engine.propagator.computed
            results = engine.run(upsets)
            spent.shortcuts += time.perf_counter() - began
            spent.carried += engine.propagator.computed - computed
            engine.propagator.clear_cache()
            began = time.perf_counter()
            audited = {
                int(n): results[n].agrees(engine.plain(upsets[n])) for n in chosen if n < count
            }
            spent.audit += time.perf_counter() - began
            spent.audited += len(audited)
            spent.disagreements += sum(not agrees for agrees in audited.values())
            spent.faults += len(results)
            for path, hits in Counter(result.path for result in results).items():
                spent.paths[path] = spent.paths.get(path, 0) + hits
            numbers = range(before + first, before + first + count)
            found = self._columns(upsets, results, image)
            found |= {"number": list(numbers)} | {name: [v] * count for name, v in where.items()}
            found["audited"] = [index in audited for index in range(count)]
            found["agrees"] = [audited.get(index) for index in range(count)]
            for name, values in found.items():
                columns[name] += values
            if len(job.codes) > 1:
                unload(self._mapped[image])
        return pack(columns, str(unit), job.campaign), spent

    def _origin(self, stratum: str) -> tuple[int, dict]:
        """Faults of earlier strata of its structure, and the columns that name a stratum."""
        division = self.job.division
        if division is None:
            return 0, {"structure": stratum}
        structure = division.structure(stratum)
        earlier = takewhile(stratum.__ne__, division.strata(structure))
        columns = {"structure": structure, "stratum": stratum,
                   "population": division.sizes[stratum]}  # fmt: skip
        return sum(self.job.counts[name] for name in earlier), columns

    def _columns(
        self, upsets: Sequence[Fault], results: Sequence[FaultOutcome], image: int
    ) -> dict[str, list]:
        """Columns of an image's results."""
        job = self.job
        right: list[bool | None] = [None] * len(results)
        if job.labels is not None:
            label = int(job.labels[image])
            right = [bool(result.output) and result.top == label for result in results]
        moments = [self._moment(upset.cycle) for upset in upsets]
        columns: dict[str, list] = {
            "fault": [str(upset) for upset in upsets],
            "signal": [upset.site.signal for upset in upsets],
            "word": [upset.site.address or 0 for upset in upsets],
            "bit": [upset.site.bit for upset in upsets],
            "cycle": [upset.cycle for upset in upsets],
            "layer": [layer for layer, _ in moments],
            "phase": [phase for _, phase in moments],
            "image": [image] * len(results),
            **{name: [getattr(result, name) for result in results] for name in _FOUND},
            "false_alarm": [
                result.detected and of_guard(job.program, self.space, upset.site)
                for upset, result in zip(upsets, results, strict=True)
            ],
            "right": right,
        }
        if job.patterns:
            rows = [r.pattern.columns() if r.pattern else _NO_PATTERN for r in results]
            columns |= {name: [row[name] for row in rows] for name in _NO_PATTERN}
        return columns

    def _moment(self, cycle: int) -> tuple[str, str]:
        """Layer and phase of a cycle."""
        run = self.inference.schedule.at(cycle)
        if run.index not in self._phases:
            self._phases[run.index] = phase_bounds(run)
        bounds = self._phases[run.index]
        phases = (phase for phase, (begin, end) in bounds.items() if begin <= cycle < end)
        return run.step.name, next(phases, "fetch")


_worker: tuple[str, Worker] | None = None


def compute(payload: bytes, unit: UnitId) -> tuple[UnitId, bytes, UnitStatistics]:
    """A unit of a pickled job, in whatever process this is."""
    return (unit, *_of(payload).compute(unit))


def _of(payload: bytes) -> Worker:
    """This process's worker for a pickled job."""
    global _worker
    name = hashlib.sha256(payload).hexdigest()
    if _worker is None or _worker[0] != name:
        _worker = name, Worker(pickle.loads(zlib.decompress(payload)))
    return _worker[1]


def _work(payload: bytes, item: Item) -> tuple[UnitId, bytes, UnitStatistics] | None:
    """A unit, or a liveness table or a part of it."""
    if isinstance(item, UnitId):
        return compute(payload, item)
    if item.part is None:
        _of(payload).table(item.image)
    else:
        _of(payload).analyse(item.image, item.part)
    return None


def run_units(
    job: CampaignSpec, units: Sequence[UnitId], processes: int = 1, scheduler: str = ""
) -> Iterator[tuple[UnitId, bytes, UnitStatistics]]:
    """Computes units, in any order.

    Parameters
    ----------
    processes : int
        Local processes.
    scheduler : str
        Address of a Dask scheduler whose workers do it instead.

    Raises
    ------
    HoldfastError
        Processes die again and again; with a scheduler, as of `fault.campaign.cluster.on_cluster`.
    """
    payload = zlib.compress(pickle.dumps(job), 1)
    if scheduler:
        # Imported here: it takes a second, and most campaigns do without.
        from .cluster import on_cluster

        liveness_tables(job)
        yield from on_cluster(compute, payload, units, scheduler)
        return
    parts = 1
    if len(job.codes) < processes:
        parts = -(-Schedule(job.program).cycles // part_length(job.netlist))
    agenda = Agenda(job, units, parts)
    results = in_processes(partial(_work, payload), agenda, processes, _DIED, _BREAKS)
    with contextlib.closing(results):
        for item, result in results:
            if result is None:
                agenda.done(item, 0.0)
            else:
                agenda.done(item, result[2].shortcuts + result[2].audit)
                yield result
