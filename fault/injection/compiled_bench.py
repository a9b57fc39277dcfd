"""Faults in layers on the compiled engine: what `cocotb_bench` does in cocotb, cycle for cycle.

A fault starts from the golden model's state in its cycle. Golden and faulty model then run side by
side while the fault's spread is watched; if their whole states are equal afterwards, the rest is
the golden run.
"""

from collections.abc import Callable, Iterator
from itertools import count

import numpy as np

from holdfast.fault.model.fault import Fault
from holdfast.gen.roles import Role
from holdfast.sim.compiled.bus import CompiledBus, CompiledPins
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.driver import chunk_writes, loads, network_writes
from holdfast.sim.host import complete
from holdfast.sim.register_port import RegisterPort

from .observation import (
    DRAIN,
    BenchJob,
    Ending,
    GoldenLayer,
    Observation,
    Observed,
    Work,
    golden_layer,
    start,
    start_words,
    trace_cycles,
)


class _Interrupt:
    """The cycle in which a model's interrupt rises for the first time."""

    def __init__(self, model: CompiledModel):
        self.model = model
        self.level = model.peek("interrupt")
        self.cycle: int | None = None

    def look(self, cycle: int) -> None:
        level = self.model.peek("interrupt")
        if level > self.level and self.cycle is None:
            self.cycle = cycle
        self.level = level

    def wait(self, begin: int, limit: int) -> None:
        """Run until it rises, or to cycle `limit` of a run that began at `begin`."""
        model = self.model
        for level in (0, 1) if self.level else (1,):
            left = begin + limit - model.cycles
            if left <= 0 or model.run_until("interrupt", level, left) is None:
                return
        self.cycle = model.cycles - begin


class CompiledBench:
    """Runs the layers of a job.

    Parameters
    ----------
    on_fault : Callable
        Called with the number of faults done, after every fault.
    """

    def __init__(self, job: BenchJob, on_fault: Callable[[int], None] = lambda done: None):
        self.job = job
        self.program = job.program
        self.on_fault = on_fault
        self.span = trace_cycles(job.program)
        self.golden = CompiledModel(job.netlist)
        self.faulty = CompiledModel(job.netlist)
        self.flip_flops = {flip_flop.name for flip_flop in job.netlist.flip_flops}
        self.memories = [memory.name for memory in job.netlist.memories]
        self.accumulators = {*job.netlist.names(Role.ACCUMULATOR_WORDS)}

    def run(self) -> Iterator[Observed]:
        """The golden run of every piece of work, and what its faults did."""
        self._reset()
        bus = CompiledBus(self.golden)
        for address, data in network_writes(self.program):
            bus.write(address, data)
        done = count(1)
        for work in self.job.work:
            run = self._golden(work)
            for fault in work.faults:
                fault.check_cycle(run.cycles)
            found: dict[Fault, Observation] = {}
            # Forward in time: the golden model never goes back further than it was watched.
            for fault in sorted(work.faults, key=lambda fault: fault.cycle):
                found[fault] = self._faulty(fault)
                self.on_fault(next(done))
            yield Observed(run, [found[fault] for fault in work.faults])

    def _golden(self, work: Work) -> GoldenLayer:
        """Run a layer without a fault; the golden model then stands at its cycle 0."""
        model = self.golden
        self.step = next(step for step in self.program.steps if step.name == work.layer)
        self._prepare(work.image)
        self.idle = model.snapshot()

        started = self._begin(model)
        assert started, f"the port takes no start of {work.layer}"
        first = model.snapshot()
        self.begin = model.cycles
        self.limit = 10_000_000
        interrupt = _Interrupt(model)
        interrupt.wait(self.begin, self.limit)
        self.ending = ending = self._end(model, self.begin, interrupt.cycle)
        self.limit = 2 * ending.cycles + 1000
        self.end = model.snapshot()
        self.end_memories = {name: model.read_memory(name) for name in self.memories}
        model.restore(first)
        return golden_layer(self.job, self.step, work.image, ending, self.end_memories)

    def _faulty(self, fault: Fault) -> Observation:
        if fault.cycle < 0:
            return self._before_start(fault)
        golden, faulty = self.golden, self.faulty
        golden.step(self.begin + fault.cycle - golden.cycles)
        moment = golden.snapshot()
        faulty.restore(moment)
        interrupt = _Interrupt(faulty)
        _flip(faulty, fault)
        # The flip itself can raise it.
        interrupt.look(fault.cycle + 1)
        reached: set[str] = set()
        differing: list[str] = []
        for cycle in range(fault.cycle + 1, fault.cycle + 1 + self.span):
            golden.step()
            faulty.step()
            interrupt.look(cycle)
            differing = faulty.differences(golden.snapshot())
            reached |= self.flip_flops.intersection(differing)
        reached |= self.accumulators.intersection(differing)
        golden.restore(moment)
        met = frozenset(reached - {fault.site.signal})
        if differing or interrupt.cycle not in (None, self.ending.cycles):
            return self._rest(fault, self.begin, interrupt, met)
        return Observation(fault, self.ending, met)

    def _before_start(self, fault: Fault) -> Observation:
        """A flip in the idle accelerator, before the host's writes."""
        model = self.faulty
        model.restore(self.idle)
        _flip(model, fault)
        model.step(2)
        if self._begin(model):
            return self._rest(fault, model.cycles, _Interrupt(model))
        return self._compared(fault, Ending())

    def _rest(
        self, fault: Fault, begin: int, interrupt: _Interrupt, reached: frozenset[str] = frozenset()
    ) -> Observation:
        """From where the faulty run stands to what it leaves."""
        if interrupt.cycle is None:
            interrupt.wait(begin, self.limit)
        return self._compared(fault, self._end(self.faulty, begin, interrupt.cycle), reached)

    def _begin(self, model: CompiledModel) -> bool:
        """The host's writes up to the start; whether the port took them."""
        return complete(start(_port(model), self.job, self.step))

    def _end(self, model: CompiledModel, begin: int, interrupted: int | None) -> Ending:
        """Let the pipelines drain and read what the host reads."""
        cycles = self.limit if interrupted is None else interrupted
        model.step(max(1, begin + cycles + DRAIN + 1 - model.cycles))
        config, ended = self.program.config, interrupted is not None
        ending = complete(Ending.read(_port(model), config, cycles, ended))
        model.step(2)
        return ending

    def _compared(
        self, fault: Fault, ending: Ending, reached: frozenset[str] = frozenset()
    ) -> Observation:
        """Returns what differs from the golden end."""
        model = self.faulty
        differing = model.differences(self.end)
        memories = {}
        for name in differing:
            if name not in self.flip_flops:
                words = model.read_memory(name)
                wrong = (words != self.end_memories[name]).reshape(len(words), -1).any(1)
                addresses = np.flatnonzero(wrong).tolist()
                memories[name] = [(address, model.read(name, address)) for address in addresses]
        flip_flops = tuple(name for name in differing if name in self.flip_flops)
        return Observation(fault, ending, reached, flip_flops, memories)

    def _prepare(self, image: int) -> None:
        """Bring the golden model into the state in which the layer starts."""
        model = self.golden
        self._reset()
        bus = CompiledBus(model)
        for load in loads(self.program, self.step.first, self.step.count):
            for address, data in chunk_writes(self.program, load.chunk):
                bus.write(address, data)
        for name, words in start_words(self.job, self.step, image).items():
            model.write_memory(name, words)
        _port(model)
        model.step(DRAIN)

    def _reset(self) -> None:
        _port(self.golden)
        self.golden.reset(3)
        self.golden.step(DRAIN)


def _port(model: CompiledModel) -> RegisterPort:
    """Returns the model's port, at which nothing is offered."""
    return RegisterPort(CompiledPins(model))


def _flip(model: CompiledModel, fault: Fault) -> None:
    site = fault.site
    model.flip(site.signal, site.bit, site.address or 0)
