"""Measuring what is not in the cache yet, in parallel, each once."""

import concurrent.futures
import contextlib
import multiprocessing
import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import torch

from base.cache import Cache, Measurement
from base.errors import HoldfastError
from fault.work import end_with

__all__ = ["measure"]

Done = Callable[[Measurement], None]
Results = Generator[tuple[Measurement, dict[str, Any]], None, None]


def measure(
    wanted: Sequence[Measurement], cache: Cache, jobs: int = 1, done: Done = lambda m: None
) -> None:
    """Put every measurement into the cache; whatever interrupts it, finished ones are there.

    Parameters
    ----------
    jobs : int
        Processes; 1: this one.
    done : Callable
        Called after each.

    Raises
    ------
    HoldfastError
        A measurement cannot be made, or its process died.
    """
    results = _here(wanted) if jobs == 1 else _in_processes(wanted, jobs)
    with contextlib.closing(results):
        for measurement, value in results:
            cache.put(measurement, value)
            done(measurement)


def _here(wanted: Sequence[Measurement]) -> Results:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for measurement in wanted:
            yield measurement, measurement.run()
    finally:
        torch.set_num_threads(threads)


def _in_processes(wanted: Sequence[Measurement], jobs: int) -> Results:
    pool = concurrent.futures.ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), _start, (os.getpid(),)
    )
    try:
        futures = {pool.submit(_run, measurement): measurement for measurement in wanted}
        for future in concurrent.futures.as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        raise HoldfastError(
            "a measuring process died; is there enough memory? The same command goes on from what "
            "is finished."
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _start(parent: int) -> None:
    torch.set_num_threads(1)
    end_with(parent)


def _run(measurement: Measurement) -> dict[str, Any]:
    return measurement.run()
