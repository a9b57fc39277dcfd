"""One inference of a whole network with one start, golden or with a fault, in the compiled engine.

    inference = RtlSession(program, netlist, guard)
    trace = inference.record(codes)              # golden; codes of one image, int8 [C, H, W]
    inference.golden = trace
    seen = inference.plain(fault)                # the whole inference in RTL, then the host's reads

The host writes descriptors, parameters, weights and the image, clears the guard's counters and
starts the run; cycle 0 follows the edge that accepts the start write. It then waits for the
interrupt and reads status, counters and the last tensor. The accelerator was reset before and its
memories were zero.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from holdfast.base.errors import HoldfastError
from holdfast.fault.model.checked import checked_roles
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.purpose import holds_constants
from holdfast.gen.protection.registry import protections
from holdfast.nn.compiler.program import Program
from holdfast.nn.graph.guard_modes import GuardSettings, check_guard
from holdfast.sim.compiled.bus import BusError, CompiledBus
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.driver import Accelerator, image_writes, lanes_from_bytes, tensor_range
from holdfast.sim.machine.schedule import Schedule
from holdfast.sim.netlist.netlist import Netlist
from holdfast.sim.registers import (
    REGISTER,
    alarm_registers,
    control_word,
    offsets,
    preparation,
    status_part,
)

from .control import ControlRun
from .lockstep import LockstepRun
from .many import ManyRuns
from .trace import RunEnd, Trace

_ANSWER = 1000
"""Cycles in which the port has to answer."""


@dataclass(frozen=True)
class InferenceOutcome:
    """Holds what a faulty inference showed.

    Attributes
    ----------
    ended : bool
        The interrupt came and the port answered.
    status : int
        `gen.layout.Status`.
    cycles : int
        To the interrupt.
    counts : int
        Guard violations counted, outputs and inputs.
    output : int8 [C, H, W]
        The last tensor as the host read it; empty if it could not be read.
    has_latent_state : bool
        Something that differs is left that the next inference reads before it is written.
    detected : int or None
        First cycle in which the guard had counted more than in the golden run.
    """

    ended: bool
    status: int
    cycles: int
    counts: int
    output: NDArray[np.int8]
    has_latent_state: bool
    detected: int | None = None


def check_injectable(program: Program, guard: GuardSettings) -> None:
    """Refuse what no campaign can be made of.

    Raises
    ------
    HoldfastError
        Weights or parameters do not fit the accelerator at once, or the guard is not there.
    """
    if not program.resident:
        config = program.config
        large = sum(len(chunk.weights) for chunk in program.chunks) > config.weight_depth
        memory, depth, name = (
            ("weight memory", config.weight_depth, "weight_depth")
            if large
            else ("parameter memory", config.param_depth, "param_depth")
        )
        raise HoldfastError(
            f"network {program.graph.network} does not fit the accelerator's {memory} of "
            f"{depth} words; campaigns need a {name} that holds it."
        )
    check_guard(program.config, guard)


@dataclass
class RtlSession:
    """Runs a program on a compiled accelerator.

    Parameters
    ----------
    spacing : int
        Cycles between golden states that are kept.

    Attributes
    ----------
    limit : int
        Cycle at which a run that has not ended hangs: twice the cycles of the cycle model + 1000.
    control : ControlRun or None
        The control alone, once it was asked for.
    together : bool
        There are so many faults that machines that run them together pay.

    Raises
    ------
    HoldfastError
        From `check_injectable`.
    """

    program: Program
    netlist: Netlist
    guard: GuardSettings
    spacing: int = 64
    limit: int = field(init=False)
    control: ControlRun | None = field(default=None, init=False)
    together: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        check_injectable(self.program, self.guard)
        self.schedule = Schedule(self.program)
        self.limit = 2 * self.schedule.cycles + 1000
        self.model = CompiledModel(self.netlist)
        self.lockstep = LockstepRun(self.model, checked_roles(self.program.config))
        self.bus = CompiledBus(self.model, timeout=_ANSWER)

    @cached_property
    def many(self) -> ManyRuns | None:
        """Machines that run many faults together, where they pay."""
        if not self.together or not ManyRuns.pays():
            return None
        try:
            return ManyRuns(self.netlist, self.lockstep)
        except NotImplementedError:
            # A dataflow or protection from elsewhere may have cells that no other has.
            return None

    def record(self, codes: NDArray[np.int8]) -> Trace:
        """Loads the network and an image, runs it and records the golden run.

        Raises
        ------
        AssertionError
            The run differs from the schedule.
        """
        model, program = self.model, self.program
        model.reset()
        for name, width in ((m.name, m.depth) for m in self.netlist.memories):
            model.write_memory(name, np.zeros_like(model.read_memory(name)[:width]))
        Accelerator(self.bus).load(program)
        self.start(codes)
        trace = self.lockstep.record(self.limit, *self.moments())
        predicted = [run.fetch for run in self.schedule.runs[1:]]
        assert trace.cycles == self.schedule.cycles, (trace.cycles, self.schedule.cycles)
        assert trace.indices.tolist() == predicted, "the descriptors are not where they should be"
        return trace

    def moments(self) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
        """Cycles in which golden states are kept, and in which of them the pipeline is empty: at
        equal distances, and in the last cycle before each layer's first pixel.
        """
        before = np.array([run.start[0] - 1 for run in self.schedule.runs], np.uint64)
        even = np.arange(0, self.schedule.cycles, self.spacing, dtype=np.uint64)
        moments = np.union1d(even, before)
        return moments, np.isin(moments, before).astype(np.uint8)

    def start(self, codes: NDArray[np.int8]) -> None:
        """Does what the host does before every inference, up to cycle 0."""
        program = self.program
        for address, data in image_writes(program, codes):
            self.bus.write(address, data)
        registers = {"first": 0, "count": len(program.descriptors), "ready": 0xFFFF}
        settings = self.guard.control if protections(program.config) else {}
        if settings:
            registers |= preparation(program.config, settings)
        for name, value in registers.items():
            self.bus.write_word(offsets(program.config)[name], value)
        word = control_word(start=True, interrupt=True, **settings)
        self.bus.post_word(REGISTER["control"], word)

    @property
    def golden(self) -> Trace:
        """The golden run that faults are compared with."""
        return self.lockstep.golden

    @golden.setter
    def golden(self, trace: Trace) -> None:
        self.lockstep.golden = trace

    def plain(self, fault: Fault) -> InferenceOutcome:
        """Runs a fault in the RTL from cycle 0 to the end, and returns what the host then reads."""
        return self.read_out(self.lockstep.inject(fault, self.limit, whole=True))

    def read_out(self, end: RunEnd) -> InferenceOutcome:
        """Returns what the host reads after a run that has ended, from the port."""
        nothing, config = np.empty((0,), np.int8), self.program.config
        counts = 0
        if end.kind == "hang":
            return InferenceOutcome(False, 0, end.cycle, counts, nothing, False, end.detected)
        assert end.kind == "ended"
        latent = self._has_latent_state(end)
        place = self.program.graph.nodes[-1].name
        try:
            status = self.bus.read_word(REGISTER["status"])
            if protections(config):
                names = alarm_registers(config)
                counts = sum(self.bus.read_word(offsets(config)[name]) for name in names)
                counts %= 1 << 32
            data = self.bus.read(*tensor_range(self.program, place))
        except BusError:
            return InferenceOutcome(False, 0, end.cycle, counts, nothing, latent, end.detected)
        finally:
            self.bus.quiet()
        output = self.program.tensor_codes(
            place, lanes_from_bytes(data, self.program.config.word_lanes)
        )
        ended = bool(status_part(status, "done")) and not status_part(status, "busy")
        code = status_part(status, "code")
        return InferenceOutcome(ended, code, end.cycle, counts, output, latent, end.detected)

    def _has_latent_state(self, end: RunEnd) -> bool:
        state, golden = self.lockstep.state(), self.golden.states[-1]
        names = self.lockstep.differing(state, golden)
        held = self.netlist.held
        if any("inference" in held[name].live for name in names):
            return True
        return any(holds_constants(self.program, held[d.memory], d.words) for d in end.memories)
