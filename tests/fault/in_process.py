"""A campaign in this process, on small images."""

import numpy as np

from holdfast.fault.campaign.workers import Worker
from holdfast.nn.data.images import ImageSet


def run_here(spec, units, processes, scheduler):
    """What `fault.campaign.workers.run_units` does, in this process."""
    worker = Worker(spec)
    for unit in units:
        yield (unit, *worker.compute(unit))


def generated(count):
    """Images that the tiny network takes."""
    pixels = np.random.default_rng(5).integers(0, 256, (count, 3, 4, 4), np.uint8)
    return ImageSet("generated", pixels, None)
