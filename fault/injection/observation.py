"""Says what the testbenches of single layers are given, and what they show: the same in both
engines.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.fault.model.fault import Fault
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.registry import latencies
from holdfast.gen.roles import Role
from holdfast.nn.compiler.program import Program, Step
from holdfast.sim.machine.banks import banks_before, banks_of, check_written, words_of
from holdfast.sim.netlist.netlist import Netlist
from holdfast.sim.register_port import RegisterPort
from holdfast.sim.registers import alarm_registers, control_word, offsets, preparation, status_part

MARK = "holdfast-fault "
"""Begins a line of the cocotb testbench that says how many faults are done."""
PERIOD = 10
FLIP = 6
"""Nanoseconds after the rising edge at which a bit is flipped: the clock has just fallen."""
LOOK = 8
"""Nanoseconds after the rising edge at which registers are read."""
_MARGIN = 6
DRAIN = 64
"""Cycles after the interrupt until the state that remains is read: pipelines have drained."""


@dataclass(frozen=True)
class Work:
    """Holds faults of one layer and image.

    Attributes
    ----------
    limit : int
        If positive, the layer is run once, with the only fault and for so many cycles at most, and
        nothing is compared: for waveforms.
    """

    layer: str
    image: int
    faults: tuple[Fault, ...]
    limit: int = 0


@dataclass(frozen=True)
class BenchJob:
    """Holds what one simulation has to do.

    Attributes
    ----------
    golden : dict of dict
        For each image, golden codes [C, H, W] by node; the image's own under the input's name.
    settings : dict
        Of the control register.
    """

    netlist: Netlist
    program: Program
    golden: Mapping[int, dict[str, NDArray[np.int8]]]
    settings: Mapping[str, bool]
    work: list[Work]


@dataclass
class GoldenLayer:
    """Records the fault-free run of a layer.

    Attributes
    ----------
    cycles : int
        From the edge that accepts the start write's data to the interrupt.
    guard_output, guard_input : int
        The guard's counters at its end.
    banks : int8 [bank, word, lane]
        Activation memories at its end.
    begin : int
        Simulation time at which cycle 0 begins, in nanoseconds; 0 in the compiled engine.
    alarms : dict of int
        All alarms at its end by name.
    """

    layer: str
    image: int
    cycles: int
    guard_output: int
    guard_input: int
    banks: NDArray[np.int8]
    begin: int = 0
    alarms: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ending:
    """Says how a run ended, as the host saw it.

    Attributes
    ----------
    cycles : int
        As in GoldenLayer; the watchdog's limit if it did not end.
    ended : bool
        The interrupt came, and the port answered that the run is done.
    status : int
        `gen.layout.Status`.
    guard_output, guard_input : int
        Counters.
    alarms : dict of int
        All of them by name.
    """

    cycles: int = 0
    ended: bool = False
    status: int = 0
    guard_output: int = 0
    guard_input: int = 0
    alarms: Mapping[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Tells whether it ended without an error."""
        return self.ended and not self.status

    @classmethod
    async def read(
        cls, port: RegisterPort, config: AcceleratorConfig, cycles: int, interrupted: bool
    ) -> Self:
        """Reads what the host reads after a run."""
        names = ("status", *alarm_registers(config))
        answers = {name: await port.read(offsets(config)[name]) for name in names}
        found = {name: value for name, value in answers.items() if value is not None}
        if len(found) < len(answers):
            return cls(cycles)
        status = found.pop("status")
        done = status_part(status, "done") and not status_part(status, "busy")
        return cls(
            cycles, interrupted and bool(done), status_part(status, "code"),
            found["guard_output"], found["guard_input"], found,
        )  # fmt: skip


@dataclass(frozen=True)
class Observation:
    """Holds what one faulty run showed, as differences from the golden run.

    Attributes
    ----------
    reached : frozenset of str
        Registers and accumulator memories other than the flipped one that differed between the flip
        and the end of :func:`trace_cycles`.
    flip_flops : tuple of str
        Registers that differ after the end.
    memories : dict
        Words that differ after the end: by memory, a list of (address, value).
    """

    fault: Fault
    ending: Ending
    reached: frozenset[str] = frozenset()
    flip_flops: tuple[str, ...] = ()
    memories: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


@dataclass
class Observed:
    """Holds what the simulation of some faults of one layer and image showed.

    Attributes
    ----------
    observations : list of Observation
        Of each fault, in their order; none if a fault is beyond the last cycle of the layer.
    """

    golden: GoldenLayer
    observations: list[Observation]


@dataclass(frozen=True)
class Divergence:
    """A register whose value is not the golden one.

    Attributes
    ----------
    cycle : int
        Clock cycle of the layer, counted as a fault's.
    """

    signal: str
    cycle: int
    golden: int
    faulty: int


async def start(port: RegisterPort, job: BenchJob, step: Step) -> bool:
    """Does what the host writes, in order, to start a layer; tells whether the port took it."""
    config = job.program.config
    writes = preparation(config, job.settings) | {"first": step.first, "count": step.count}
    writes["control"] = control_word(start=True, interrupt=True, **job.settings)
    for name, value in writes.items():
        if not await port.write(offsets(config)[name], value):
            return False
    return True


def start_words(job: BenchJob, step: Step, image: int) -> dict[str, NDArray[np.int64]]:
    """Returns what activation and accumulator memories hold when a layer starts: the banks as an
    inference from zeroed memories leaves them, and zeros.
    """
    netlist, program = job.netlist, job.program
    sums = netlist.names(Role.ACCUMULATOR_WORDS)
    zeros = {m.name: np.zeros(m.depth, np.int64) for m in netlist.memories if m.name in sums}
    banks = banks_before(program, step, job.golden[image])
    return zeros | words_of(netlist, program.config, banks)


def golden_layer(
    job: BenchJob, step: Step, image: int, ending: Ending, words: Mapping[str, ArrayLike]
) -> GoldenLayer:
    """Returns a fault-free run by its ending and its memories; asserts that both are right."""
    assert ending.clean, f"{step.name} ended with {ending}"
    banks = banks_of(job.netlist, job.program.config, words)
    check_written(job.program, step, banks, job.golden[image])
    return GoldenLayer(
        step.name, image, ending.cycles, ending.guard_output, ending.guard_input, banks,
        alarms=ending.alarms,
    )  # fmt: skip


def trace_cycles(program: Program) -> int:
    """Cycles for which a fault's spread is watched: a pixel's way through the whole pipeline."""
    return latencies(program.config).write + program.config.cols + _MARGIN
