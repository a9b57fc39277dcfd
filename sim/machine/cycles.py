"""The cycle model: how long a program takes and what each cycle is spent on."""

from collections import Counter

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.weight_stationary import StationaryLatencies
from holdfast.gen.layout import Descriptor
from holdfast.nn.compiler.program import Program, Step

__all__ = ["START_CYCLES", "descriptor_cycles", "step_cycles"]

START_CYCLES = 1
"""Cycles from the accepted start write to the first busy cycle, seen from the bus."""


def descriptor_cycles(config: AcceleratorConfig, descriptor: Descriptor) -> Counter[str]:
    """Cycles of one descriptor by register name of `gen.layout.COUNTERS`.

    Exact for a descriptor whose host does not let it wait (``ready``).
    """
    pixels, tiles = descriptor.pixels, descriptor.co_tiles
    # Tiles that are followed by one with new weights, and those that are not.
    swapping = descriptor.weight_tiles
    holding = tiles * descriptor.reductions - swapping
    latencies = StationaryLatencies(config.rows, config.cols)
    chained = pixels == 1 and not descriptor.maximum
    swap, keep = (latencies.interval(swaps, chained) for swaps in (True, False))
    return Counter(
        stream=tiles * descriptor.reductions * pixels,
        # Nothing waits behind the last tile.
        stall_weights=max(0, swap - pixels) * (swapping - 1),
        stall_memory=max(0, keep - pixels) * holding,
        stall_writeback=latencies.gap * (tiles - 1),
        stall_fetch=latencies.fetch,
        stall_drain=latencies.drain + 1,
        stall_host=0,
    )


def step_cycles(program: Program, step: Step) -> Counter[str]:
    """Cycles of a step: the sum over its descriptors."""
    total: Counter[str] = Counter()
    for descriptor in step.descriptors:
        total.update(descriptor_cycles(program.config, descriptor))
    return total
