"""The cycle model: how long a program takes and what each cycle is spent on."""

from collections import Counter

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.array import SystolicArray
from holdfast.gen.dataflow.feeder import Feeder
from holdfast.gen.dataflow.input_stage import InputStage
from holdfast.gen.layout import DESCRIPTOR_WORDS, Descriptor
from holdfast.gen.units.lanes import Lanes
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
    keep = 1 if pixels == 1 and not descriptor.maximum else Feeder.HAZARD
    drain = InputStage.LATENCY + SystolicArray.latency(config) - Lanes.LEAD
    drain += Lanes.latency(config) + 1
    return Counter(
        stream=tiles * descriptor.reductions * pixels,
        # Nothing waits behind the last tile.
        stall_weights=max(0, Feeder.weight_interval(config) - pixels) * (swapping - 1),
        stall_memory=max(0, keep - pixels) * holding,
        stall_writeback=Feeder.GAP * (tiles - 1),
        stall_fetch=DESCRIPTOR_WORDS + 2,
        stall_drain=drain + 1,
        stall_host=0,
    )


def step_cycles(program: Program, step: Step) -> Counter[str]:
    """Cycles of a step: the sum over its descriptors."""
    total: Counter[str] = Counter()
    for descriptor in step.descriptors:
        total.update(descriptor_cycles(program.config, descriptor))
    return total
