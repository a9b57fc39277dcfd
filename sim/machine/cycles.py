"""The cycle model: how long a program takes and what each cycle is spent on."""

from collections import Counter

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import Descriptor
from holdfast.nn.compiler.program import Program, Step

from .schedule import timeline_kind


def descriptor_cycles(config: AcceleratorConfig, descriptor: Descriptor) -> Counter[str]:
    """Predicts the cycles of one descriptor by register name of `gen.layout.COUNTERS`.

    Exact for a descriptor whose host does not let it wait (``ready``).
    """
    return timeline_kind(config).spent(config, descriptor)


def step_cycles(program: Program, step: Step) -> Counter[str]:
    """Cycles of a step: the sum over its descriptors."""
    total: Counter[str] = Counter()
    for descriptor in step.descriptors:
        total.update(descriptor_cycles(program.config, descriptor))
    return total
