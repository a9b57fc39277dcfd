"""Measuring what is not in the cache yet, in parallel, each once."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from typing import Any

import torch

from holdfast.base.cache import Cache, Measurement
from holdfast.base.pool import in_processes

Done = Callable[[Measurement], None]
Results = Generator[tuple[Measurement, dict[str, Any]], None, None]

_DEATHS = 3
_DIED = (
    "measuring processes died again and again; is there enough memory? The same command goes on "
    "from what is finished."
)


def measure(
    wanted: Sequence[Measurement], cache: Cache, jobs: int = 1, done: Done = lambda m: None
) -> None:
    """Puts every measurement into the cache; whatever interrupts it, finished ones are there.

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
    results = _here(wanted) if jobs == 1 else in_processes(_run, wanted, jobs, _DIED, _DEATHS)
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


def _run(measurement: Measurement) -> dict[str, Any]:
    torch.set_num_threads(1)
    return measurement.run()
