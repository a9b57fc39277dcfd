"""Every cycle of an inference, from the program alone, on an accelerator of any dataflow.

schedule = Schedule(program)
run = schedule.at(cycle)                  # the descriptor that runs, as a DescriptorTimeline
run.start[tile], run.input_reads(...)     # cycles of its reads and writes
"""

from bisect import bisect_right

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.weight_stationary import WeightStationary
from holdfast.nn.compiler.program import Program

from .stationary import StationaryTimeline
from .timeline import DescriptorTimeline

START_CYCLES = 1
"""Cycles from the accepted start write to the first busy cycle, seen from the bus."""

TIMELINES: dict[str, type[DescriptorTimeline]] = {WeightStationary.name: StationaryTimeline}
"""Timelines by the name of the dataflow."""


def timeline_kind(config: AcceleratorConfig) -> type[DescriptorTimeline]:
    """Returns the timeline of an accelerator: that of its dataflow.

    Raises
    ------
    HoldfastError
        There is none.
    """
    if config.dataflow not in TIMELINES:
        raise HoldfastError(
            f"there is no timeline for the dataflow {shown(config.dataflow)}, "
            f"only for {', '.join(TIMELINES)}."
        )
    return TIMELINES[config.dataflow]


class Schedule:
    """Puts all descriptors of a program one after the other in time.

    Attributes
    ----------
    runs : list of DescriptorTimeline
    cycles : int
        From the accepted start write to the interrupt.
    """

    def __init__(self, program: Program):
        self.program = program
        self.runs: list[DescriptorTimeline] = []
        fetch = START_CYCLES
        kind = timeline_kind(program.config)
        for step in program.steps:
            for index, descriptor in enumerate(step.descriptors, step.first):
                run = kind(program.config, step, index, descriptor, fetch)
                self.runs.append(run)
                fetch = run.end
        self.cycles = fetch
        self._fetches = [run.fetch for run in self.runs]

    def at(self, cycle: int) -> DescriptorTimeline:
        """Returns the descriptor that runs in a cycle; before the first is fetched, the first."""
        return self.runs[max(0, bisect_right(self._fetches, cycle) - 1)]
