"""A campaign in this process, on small images."""

import numpy as np

from holdfast.fault.campaign.workers import Worker
from holdfast.nn.data.images import ImageSet

POOL = "holdfast.fault.campaign.workers.in_processes"
"""What `in_this_process` is put in place of, where no test is about processes."""


def in_this_process(function, items, processes, died, deaths=0):
    """What `base.pool.in_processes` does, without a process, whose start takes two seconds."""
    while items:
        item = items.popleft()
        yield item, function(item)


def run_here(spec, units, processes, scheduler):
    """What `fault.campaign.workers.run_units` does, in this process."""
    worker = Worker(spec)
    for unit in units:
        yield (unit, *worker.compute(unit))


def generated(count):
    """Images that the tiny network takes."""
    pixels = np.random.default_rng(5).integers(0, 256, (count, 3, 4, 4), np.uint8)
    return ImageSet("generated", pixels, None)
