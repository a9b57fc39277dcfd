"""Processor time of a campaign's units, in a process that imports what a campaign's does alone."""

import pickle
import time
import zlib
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from holdfast.fault.analysis.liveness import LivenessParts, LivenessTable
from holdfast.fault.campaign.golden_runs import watched
from holdfast.fault.campaign.unit import UnitId
from holdfast.fault.campaign.workers import Worker
from holdfast.fault.model.fault import Fault

Result = TypeVar("Result")

_worker: list[Worker] = []
_started: list[float] = []


def timed(what: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds of processor time that something takes, and what it returns."""
    began = time.process_time()
    result = what()
    return time.process_time() - began, result


@cache
def _parts_of(worker: Worker) -> LivenessParts:
    worker.engine(0).take()
    netlist = worker.job.netlist
    return LivenessParts(netlist, worker.inference.lockstep, watched(netlist))


@cache
def _table_of(worker: Worker) -> LivenessTable:
    return worker.table(0)


def work(payload: bytes, item: UnitId | int | Fault) -> tuple[float, float, bytes]:
    """Seconds of this process's start and of a unit, a part of the first image's liveness table or
    a fault by plain RTL, and the unit's results.
    """
    if not _worker:
        _worker.append(Worker(pickle.loads(zlib.decompress(payload))))
        _worker[0].engine(0)
        _started.append(time.process_time())
    worker = _worker[0]
    if isinstance(item, int):
        # Not by the worker, which takes what an earlier campaign has kept.
        return _started[0], timed(lambda: _parts_of(worker)[item])[0], b""
    if isinstance(item, Fault):
        return _started[0], timed(lambda: worker.engine(0).plain(item))[0], b""
    # Its parts are measured apart.
    _table_of(worker)
    cost, (content, _) = timed(lambda: worker.compute(item))
    return _started[0], cost, content
