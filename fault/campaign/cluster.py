"""Work units on the workers of a Dask cluster.

Whoever can connect to its scheduler can run anything on its workers: TLS, with certificates that
only its users have, is Dask's own (addresses ``tls://...``, files named in its configuration).
The job goes to every worker once, also to one that joins later.
"""

import asyncio
import contextlib
import hashlib
import logging
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from distributed import Client, KilledWorker, as_completed, get_worker
from distributed.comm import CommClosedError
from distributed.core import rpc
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.security import Security

from holdfast.base.console import complain
from holdfast.base.errors import HoldfastError
from holdfast.base.sources import source_hash
from holdfast.base.text import printable
from holdfast.base.versions import computing

from .spec import UnitStatistics
from .unit import UnitId

Compute = Callable[[bytes, UnitId], tuple[UnitId, bytes, UnitStatistics]]

_ANSWER_S = 10
_WORKERS_S = 5
"""Seconds without a worker after which that is said."""
_POLL_S = 0.1

_payloads: dict[str, bytes] = {}


def on_cluster(
    compute: Compute, payload: bytes, units: Sequence[UnitId], scheduler: str
) -> Iterator[tuple[UnitId, bytes, UnitStatistics]]:
    """Computes units of a pickled job as :func:`fault.campaign.workers.run_units` does.

    Parameters
    ----------
    compute : Callable
        What a worker does with the pickled job and a unit's name.

    Raises
    ------
    HoldfastError
        No scheduler answers, it is lost, a worker has other sources or packages, or workers die of
        a unit.
    """
    # What it has to say is said below.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    where = printable(scheduler, 200)
    _check_scheduler(scheduler, where)
    job = hashlib.sha256(payload).hexdigest()
    ours = identity()
    with contextlib.closing(Client(scheduler, timeout=_ANSWER_S)) as client:
        _give(client, job, payload, ours)
        # Names of their own: what another campaign left of a unit is not taken.
        names = {unit: f"{unit}-{job[:16]}-{client.id}" for unit in units}
        futures = [
            client.submit(_unit, compute, job, unit, ours, key=names[unit]) for unit in units
        ]
        try:
            yield from _results(client, futures, where)
        finally:
            with contextlib.suppress(Exception):
                client.unregister_worker_plugin(job)


def _check_scheduler(scheduler: str, where: str) -> None:
    """Another server at the address would keep the client waiting."""

    async def ask() -> Any:
        security = Security().get_connection_args("client")
        async with rpc(scheduler, timeout=_ANSWER_S, connection_args=security) as server:
            return await server.identity()

    try:
        found = asyncio.run(asyncio.wait_for(ask(), _ANSWER_S))
        kind = found["type"]
    # Whatever comes back from a server that is none, or from certificates that do not fit.
    except Exception as error:
        reason = printable(error, 200) or f"no answer in {_ANSWER_S} s"
        raise HoldfastError(f"no Dask scheduler answers at {where}: {reason}.") from None
    if kind != "Scheduler":
        raise HoldfastError(f"{where} is no Dask scheduler but a {printable(kind, 40)}.")


def _give(client: Client, job: str, payload: bytes, ours: dict[str, str]) -> None:
    try:
        client.register_plugin(_Payload(payload, ours), name=job)
    except HoldfastError:
        raise
    except Exception as error:
        raise HoldfastError(
            f"a Dask worker cannot run this version of Holdfast: {printable(error, 200)}."
        ) from None


class _Payload(WorkerPlugin):
    """The pickled job, on a worker."""

    def __init__(self, payload: bytes, ours: dict[str, str]):
        self.job = hashlib.sha256(payload).hexdigest()
        self.payload = payload
        self.ours = ours

    def setup(self, worker: Any) -> None:
        _check_same(self.ours, worker.address)
        _payloads[self.job] = self.payload

    def teardown(self, worker: Any) -> None:
        _payloads.pop(self.job, None)


def _unit(
    compute: Compute, job: str, unit: UnitId, ours: dict[str, str]
) -> tuple[UnitId, bytes, UnitStatistics]:
    # A worker that joined with other sources was not given the job.
    _check_same(ours, get_worker().address)
    return compute(_payloads[job], unit)


def identity() -> dict[str, str]:
    """Returns what has to be equal everywhere for equal results."""
    sources = source_hash("holdfast.fault.campaign.workers")[:16]
    return {"sources": sources, "python": platform.python_version(), **computing()}


def _check_same(ours: dict[str, str], worker: str) -> None:
    theirs = identity()
    other = [f"{k} {theirs.get(k)}, not {v}" for k, v in ours.items() if theirs.get(k) != v]
    if other:
        raise HoldfastError(f"Dask worker {worker} has other code: {'; '.join(other)}.")


def _results(
    client: Client, futures: list, where: str
) -> Iterator[tuple[UnitId, bytes, UnitStatistics]]:
    done = as_completed(futures)
    waiting = _Waiting(where)
    while not done.is_empty():
        batch = done.next_batch(block=False)
        if not batch:
            waiting.look(client)
            time.sleep(_POLL_S)
        for future in batch:
            try:
                result = future.result()
            except KilledWorker as error:
                raise HoldfastError(
                    f"workers died of unit {printable(error.task, 80)}; is there enough memory?"
                ) from None
            except (asyncio.CancelledError, OSError) as error:
                lost = isinstance(error, asyncio.CancelledError | CommClosedError)
                if not lost and client.status == "running":
                    # A worker's own, such as its full disk.
                    raise
                raise HoldfastError(
                    f"the Dask scheduler at {where} is lost: {printable(error, 200)}; finished "
                    "units are kept, the same command goes on from them."
                ) from None
            future.release()
            yield result


class _Waiting:
    """Says once that there is no worker, each time that there is none for a while."""

    def __init__(self, where: str):
        self.where = where
        self.since = self.looked = time.monotonic()
        self.said = False

    def look(self, client: Client) -> None:
        now = time.monotonic()
        if now - self.looked < 1:
            return
        self.looked = now
        if client.scheduler_info()["workers"]:
            self.since, self.said = now, False
        elif now - self.since >= _WORKERS_S and not self.said:
            self.said = True
            complain(
                f"no worker is connected to the Dask scheduler at {self.where}: waiting for one."
            )
