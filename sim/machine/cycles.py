"""The cycle model: how long a program takes and what each cycle is spent on."""

from collections import Counter

from holdfast.nn.compiler.program import Program, Step

from .schedule import timeline_kind


def step_cycles(program: Program, step: Step) -> Counter[str]:
    """Predicts the cycles of a step, the sum over its descriptors, by register name of
    `gen.layout.COUNTERS`; exact where the host does not let it wait (``ready``).
    """
    spent = timeline_kind(program.config).spent
    total: Counter[str] = Counter()
    for descriptor in step.descriptors:
        total.update(spent(program.config, descriptor))
    return total
