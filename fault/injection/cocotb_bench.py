"""Testbench: runs layers with faults in a cocotb simulation.

Parameters: ``job``: a pickled :class:`BenchJob`; ``results``: the file to which a pickled list is
written, one :class:`Observed` for every (layer, image). A fault beyond the last cycle of its layer
ends the simulation. A line that starts with :data:`MARK` is printed after every fault.

Every run starts from the same state, bit by bit: reset, then every flip-flop and every memory word
that differs from the recorded state is set back. Descriptors, parameters and weights are written by
the host port alone, which is offered no data during a run but the start write itself; so they are
compared after faults in the host structure and in the memory that was hit, all other state after
every fault. The start write is preceded by the host's writes of guard counters, first and count, as
before any run.

A layer starts with the banks as an inference from zeroed memories leaves them, and with
accumulators of zero.
"""

import pickle
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import Task
from cocotb.triggers import Event, First, RisingEdge, Timer
from cocotb.utils import get_sim_time
from numpy.typing import NDArray

from holdfast.fault.model.fault import Fault
from holdfast.gen.roles import Role
from holdfast.sim.cocotb.build import parameters, write_results
from holdfast.sim.cocotb.pins import CocotbPins
from holdfast.sim.cocotb.state import Contents, FlipFlops, Memories, Values, changed
from holdfast.sim.driver import chunk_writes, loads, network_writes
from holdfast.sim.machine.banks import banks_before, banks_of, check_written, words_of
from holdfast.sim.register_port import RegisterPort

from .observation import (
    DRAIN,
    FLIP,
    LOOK,
    MARK,
    PERIOD,
    BenchJob,
    Ending,
    GoldenLayer,
    Observation,
    Observed,
    Work,
    answers,
    start_writes,
    trace_cycles,
)


@cocotb.test()
async def inject(dut):
    given = parameters()
    job: BenchJob = pickle.loads(Path(given["job"]).read_bytes())
    bench = Bench(dut, job)
    await bench.load()
    seen: list[Observed] = []
    done = 0
    for work in job.work:
        if work.limit:
            await bench.alone(work)
            continue
        seen.append(Observed(await bench.golden(work), []))
        if any(fault.cycle >= seen[-1].golden.cycles for fault in work.faults):
            break
        for fault in work.faults:
            seen[-1].observations.append(await bench.faulty(fault))
            done += 1
            print(f"{MARK}{done}", flush=True)
    Path(given["results"]).write_bytes(pickle.dumps(seen))
    write_results(done)


@dataclass
class _Run:
    """Holds how a run ended, and registers and accumulators in the watched cycles."""

    ending: Ending = field(default_factory=Ending)
    trace: dict[int, Values] = field(default_factory=dict)
    sums: dict[int, Contents] = field(default_factory=dict)


class Bench:
    """Runs layers of a job on the device under test."""

    def __init__(self, dut, job: BenchJob):
        self.dut = dut
        self.job = job
        self.program = job.program
        self.span = trace_cycles(job.program)
        self.begin = 0
        self.interrupted = 0
        self.bus = RegisterPort(CocotbPins(dut))
        self.flip_flops = FlipFlops(dut, job.netlist)
        self.memories = Memories(dut, job.netlist)
        self.accumulators = job.netlist.names(Role.ACCUMULATOR_WORDS)
        self.variable = job.netlist.names(Role.ACTIVATION_WORDS) + self.accumulators
        self.constant = [name for name in self.memories.names if name not in self.variable]

    async def load(self) -> None:
        """Start the clock and write descriptors, parameters and weights."""
        Clock(self.dut.clk, PERIOD, unit="ns").start()
        await self._reset()
        for address, data in network_writes(self.program):
            await self.bus.load(address, data)
        await self._cycles(DRAIN)
        self.contents = self.memories.snapshot(self.constant)

    async def _load_chunks(self) -> None:
        """Write the weights of the layer, if they take turns in their memory."""
        plan = loads(self.program, self.step.first, self.step.count)
        for load in plan:
            for address, data in chunk_writes(load.chunk):
                await self.bus.load(address, data)
        if plan:
            await self._cycles(DRAIN)
            self.contents = self.memories.snapshot(self.constant)

    async def _begin(self, work: Work) -> None:
        """Bring the accelerator into the state in which a layer starts."""
        self.step = next(step for step in self.program.steps if step.name == work.layer)
        await self._reset()
        await self._load_chunks()
        tensors = self.job.golden[work.image]
        self._prepare(banks_before(self.program, self.step, tensors))
        await self._cycles(DRAIN)

    async def alone(self, work: Work) -> None:
        """Run a layer with a fault once, as if it were the golden run."""
        await self._begin(work)
        self.limit = work.limit
        await self._run(work.faults[0], (), ())

    async def golden(self, work: Work) -> GoldenLayer:
        """Run a layer without a fault and keep what its faults are compared with."""
        await self._begin(work)
        self.start_flip_flops = self.flip_flops.read()
        self.start_memories = self.memories.snapshot(self.variable)

        ends = {fault.cycle + self.span for fault in work.faults if fault.cycle >= 0}
        watched = {end - k for end in ends for k in range(self.span)}
        self.limit = 10_000_000
        self.reference = run = await self._run(None, watched, ends)
        end = run.ending
        assert end.clean, f"{work.layer} ended with {end}"
        self.limit = 2 * end.cycles + 1000
        self.end_flip_flops = self.flip_flops.read()
        self.end_memories = self.memories.snapshot(self.variable)
        banks = banks_of(self.job.netlist, self.program.config, self.end_memories)
        check_written(self.program, self.step, banks, self.job.golden[work.image])
        self.memories.restore(self.end_memories, self.start_memories)
        return GoldenLayer(
            layer=work.layer,
            image=work.image,
            cycles=end.cycles,
            guard_output=end.guard_output,
            guard_input=end.guard_input,
            banks=banks,
            begin=self.begin,
            alarms=end.alarms,
        )

    async def faulty(self, fault: Fault) -> Observation:
        """Run the layer with a fault, from the state in which the golden run started."""
        await self._reset()
        self.flip_flops.write(self.flip_flops.read(), self.start_flip_flops)
        await self._cycles(2)
        left = self.flip_flops.differing(self.flip_flops.read(), self.start_flip_flops)
        assert not left, f"not restored before {fault}: {left}"

        span = range(fault.cycle + 1, fault.cycle + 1 + self.span) if fault.cycle >= 0 else range(0)
        run = await self._run(fault, span, span[-1:])
        flip_flops = self.flip_flops.differing(self.flip_flops.read(), self.end_flip_flops)
        names = self._affected(fault)
        present = self.memories.snapshot(names)
        golden = {**self.end_memories, **self.contents}
        differing = {name: changed(golden[name], present[name]) for name in names}
        if not run.ending.ended:
            # It would go on writing until the reset before the next fault.
            await self._reset()
            present = self.memories.snapshot(names)
        self.memories.restore(present, {**self.start_memories, **self.contents})

        reached: set[str] = set()
        for cycle, values in run.trace.items():
            reached.update(self.flip_flops.differing(values, self.reference.trace[cycle]))
        for cycle, contents in run.sums.items():
            there = self.reference.sums[cycle]
            reached.update(name for name, words in contents.items() if words != there[name])
        return Observation(
            fault=fault,
            ending=run.ending,
            reached=frozenset(reached - {fault.site.signal}),
            flip_flops=tuple(flip_flops),
            memories={name: list(_integers(words)) for name, words in differing.items() if words},
        )

    async def _run(
        self, fault: Fault | None, watched: Collection[int], ends: Collection[int]
    ) -> _Run:
        """From the host's writes to the state that remains; ``watched`` and ``ends`` are cycles."""
        run = _Run()
        if fault is not None and fault.cycle < 0:
            self._flip(fault)
            await self._cycles(2)
        for address, value in start_writes(self.job, self.step).items():
            if not await self.bus.write(address, value):
                return run
        self.begin = begin = _now()
        limit = begin + self.limit * PERIOD
        interrupt = Event()
        watch: Task[None] = cocotb.start_soon(self._interrupt(interrupt))
        moments = {cycle * PERIOD + LOOK for cycle in watched}
        flip = -1
        if fault is not None and fault.cycle >= 0:
            flip = fault.cycle * PERIOD + FLIP
            moments.add(flip)
        for moment in sorted(moments):
            await Timer(begin + moment - _now(), "ns")
            if fault is not None and moment == flip:
                self._flip(fault)
                continue
            cycle = moment // PERIOD
            run.trace[cycle] = self.flip_flops.read()
            if cycle in ends:
                run.sums[cycle] = self.memories.snapshot(self.accumulators)
        if not interrupt.is_set():
            await First(interrupt.wait(), Timer(max(1, limit - _now()), "ns"))
        ended = interrupt.is_set()
        end = self.interrupted if ended else limit
        if not ended:
            watch.cancel()
        cycles = round((end - begin) / PERIOD)
        # Between two edges, so that the next one is told without doubt.
        remaining = begin + (cycles + DRAIN) * PERIOD + FLIP - _now()
        if remaining > 0:
            await Timer(remaining, "ns")
        await RisingEdge(self.dut.clk)
        found = {n: await self.bus.read(at) for n, at in answers(self.program).items()}
        await self._cycles(2)
        run.ending = Ending.of(cycles, ended, found)
        return run

    async def _interrupt(self, event: Event) -> None:
        await RisingEdge(self.dut.interrupt)
        self.interrupted = _now()
        event.set()

    def _flip(self, fault: Fault) -> None:
        site = fault.site
        handle = getattr(self.dut, site.signal)
        if site.address is not None:
            handle = handle[site.address]
        handle.value = int(handle.value) ^ 1 << site.bit

    async def _reset(self) -> None:
        self.bus.quiet()
        self.dut.rst.value = 1
        await self._cycles(3)
        self.dut.rst.value = 0
        await self._cycles(DRAIN)

    async def _cycles(self, count: int) -> None:
        """Wait; afterwards the clock has just fallen."""
        await RisingEdge(self.dut.clk)
        await Timer((count - 1) * PERIOD + FLIP, "ns")

    def _affected(self, fault: Fault) -> list[str]:
        """Memories that a fault can have changed."""
        if self.job.netlist.held[fault.site.signal].role in (Role.HOST, Role.COUNTER):
            return self.variable + self.constant
        hit = [fault.site.signal] if fault.site.signal in self.constant else []
        return self.variable + hit

    def _prepare(self, banks: NDArray[np.int8]) -> None:
        wanted: Contents = {name: [0] * len(self.memories.read(name)) for name in self.accumulators}
        for name, words in words_of(self.job.netlist, self.program.config, banks).items():
            wanted[name] = words.tolist()
        present = self.memories.snapshot(self.variable)
        self.memories.restore(present, wanted)


def _integers(words: list[tuple[int, int | str]]) -> Iterator[tuple[int, int]]:
    for address, value in words:
        yield address, int(value, 2) if isinstance(value, str) else value


def _now() -> int:
    return round(get_sim_time("ns"))
