"""The timeline of the weight-stationary dataflow."""

from collections import Counter
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.registry import latencies
from holdfast.gen.layout import Descriptor

from .timeline import DescriptorTimeline


class StationaryTimeline(DescriptorTimeline):
    """Times a descriptor on a weight-stationary array; its distances are `StationaryLatencies`."""

    @classmethod
    def spent(cls, config: AcceleratorConfig, descriptor: Descriptor) -> Counter[str]:
        pixels, tiles = descriptor.pixels, descriptor.co_tiles
        # Tiles that are followed by one with new weights, and those that are not.
        swapping = descriptor.weight_tiles
        holding = tiles * descriptor.reductions - swapping
        timing: Any = latencies(config)
        chained = pixels == 1 and not descriptor.maximum
        swap, keep = (timing.interval(swaps, chained) for swaps in (True, False))
        return Counter(
            stream=tiles * descriptor.reductions * pixels,
            # Nothing waits behind the last tile.
            stall_weights=max(0, swap - pixels) * (swapping - 1),
            stall_memory=max(0, keep - pixels) * holding,
            stall_writeback=timing.gap * (tiles - 1),
            stall_fetch=timing.fetch,
            stall_drain=timing.drain + 1,
            stall_host=0,
        )

    @cached_property
    def start(self) -> NDArray[np.int64]:
        timing = self.timing
        last = np.arange(self.tiles * self.reductions) % self.reductions == self.reductions - 1
        fresh = last | (not self.hold)
        swap, keep = (timing.interval(swaps, self.chained) for swaps in (True, False))
        least = np.where(fresh, swap, keep)
        length = np.maximum(self.pixels, least) + np.where(last, timing.gap, 0)
        first = self.fetch + timing.fetch - 1 + timing.first_token
        return first + np.concatenate([[0], np.cumsum(length[:-1])])

    @cached_property
    def weight_reads(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        loaded = (
            np.arange(self.tiles) * self.reductions if self.hold else np.arange(len(self.start))
        )
        # A tile's weights are asked for by the tile before it, which has new weights itself or is
        # the last of an output tile.
        before = loaded - 1
        cycles = self.start[np.maximum(before, 0)] + self.timing.weight_lead
        cycles[0] = self.start[0] - 1
        words = self.descriptor.weight_base + np.arange(len(loaded)) * self.config.rows
        return cycles, words

    def weight_tile(self, tile: int) -> int:
        return tile // self.reductions if self.hold else tile
