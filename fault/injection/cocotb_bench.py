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
"""

import pickle
from dataclasses import replace
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.task import Task
from cocotb.triggers import First, RisingEdge, Timer
from cocotb.utils import get_sim_time

from holdfast.fault.model.fault import Fault
from holdfast.gen.roles import Role
from holdfast.sim.cocotb.build import parameters, write_results
from holdfast.sim.cocotb.pins import CocotbPins
from holdfast.sim.cocotb.state import Contents, FlipFlops, Memories, Values, changed
from holdfast.sim.driver import chunk_writes, loads, network_writes
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
    golden_layer,
    start,
    start_words,
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


class Bench:
    """Runs layers of a job on the device under test."""

    def __init__(self, dut, job: BenchJob):
        self.dut = dut
        self.job = job
        self.program = job.program
        self.span = trace_cycles(job.program)
        self.begin = 0
        self.port = RegisterPort(CocotbPins(dut))
        self.flip_flops = FlipFlops(dut, job.netlist)
        self.memories = Memories(dut, job.netlist)
        self.accumulators = job.netlist.names(Role.ACCUMULATOR_WORDS)
        self.variable = job.netlist.names(Role.ACTIVATION_WORDS) + self.accumulators

    async def load(self) -> None:
        """Starts the clock and writes descriptors, parameters and weights."""
        Clock(self.dut.clk, PERIOD, unit="ns").start()
        await self._reset()
        for address, data in network_writes(self.program):
            await self.port.load(address, data)
        await self._cycles(DRAIN)

    async def _begin(self, work: Work) -> None:
        """Brings the accelerator into the state in which a layer starts."""
        self.step = next(step for step in self.program.steps if step.name == work.layer)
        await self._reset()
        for load in loads(self.program, self.step.first, self.step.count):
            for address, data in chunk_writes(self.program, load.chunk):
                await self.port.load(address, data)
        words = start_words(self.job, self.step, work.image)
        wanted: Contents = {name: values.tolist() for name, values in words.items()}
        self.memories.restore(self.memories.snapshot(wanted), wanted)
        await self._cycles(DRAIN)

    async def alone(self, work: Work) -> None:
        """Runs a layer with a fault once, as if it were the golden run."""
        await self._begin(work)
        self.limit = work.limit
        await self._run(work.faults[0], 0)

    async def golden(self, work: Work) -> GoldenLayer:
        """Runs a layer without a fault and keeps what its faults are compared with."""
        await self._begin(work)
        self.start_flip_flops = self.flip_flops.read()
        self.start_memories = self.memories.snapshot(self.memories.names)
        self.limit = 10_000_000
        started = await self._start()
        assert started, f"the port takes no start of {work.layer}"
        begin = self.begin
        self.trace: dict[int, Values] = {}
        self.sums: dict[int, Contents] = {}
        ends = {fault.cycle + self.span for fault in work.faults if fault.cycle >= 0}
        for cycle in sorted({end - k for end in ends for k in range(self.span)}):
            await self._moment(cycle, LOOK)
            self.trace[cycle] = self.flip_flops.read()
            if cycle in ends:
                self.sums[cycle] = self.memories.snapshot(self.accumulators)
        ending = await self._end()
        self.limit = 2 * ending.cycles + 1000
        self.end_flip_flops = self.flip_flops.read()
        self.end_memories = self.memories.snapshot(self.variable)
        self.memories.restore(self.end_memories, self.start_memories)
        layer = golden_layer(self.job, self.step, work.image, ending, self.end_memories)
        return replace(layer, begin=begin)

    async def faulty(self, fault: Fault) -> Observation:
        """Runs the layer with a fault, from the state in which the golden run started."""
        await self._reset()
        self.flip_flops.write(self.flip_flops.read(), self.start_flip_flops)
        await self._cycles(2)
        left = self.flip_flops.differing(self.flip_flops.read(), self.start_flip_flops)
        assert not left, f"not restored before {fault}: {left}"

        ending, reached = await self._run(fault, self.span)
        flip_flops = self.flip_flops.differing(self.flip_flops.read(), self.end_flip_flops)
        names = self._affected(fault)
        present = self.memories.snapshot(names)
        golden = {**self.start_memories, **self.end_memories}
        differing = {name: changed(golden[name], present[name]) for name in names}
        if not ending.ended:
            # It would go on writing until the reset before the next fault.
            await self._reset()
            present = self.memories.snapshot(names)
        self.memories.restore(present, self.start_memories)
        return Observation(
            fault=fault,
            ending=ending,
            reached=frozenset(reached - {fault.site.signal}),
            flip_flops=tuple(flip_flops),
            memories={name: _integers(words) for name, words in differing.items() if words},
        )

    async def _run(self, fault: Fault, span: int) -> tuple[Ending, set[str]]:
        """From the host's writes to the state that remains; what differed in the cycles of a span
        after the flip.
        """
        reached: set[str] = set()
        if fault.cycle < 0:
            self._flip(fault)
            await self._cycles(2)
        if not await self._start():
            return Ending(), reached
        if fault.cycle >= 0:
            await self._moment(fault.cycle, FLIP)
            self._flip(fault)
            end = fault.cycle + span
            for cycle in range(fault.cycle + 1, end + 1):
                await self._moment(cycle, LOOK)
                reached.update(self.flip_flops.differing(self.flip_flops.read(), self.trace[cycle]))
            if span:
                sums = self.memories.snapshot(self.accumulators)
                reached.update(name for name in sums if sums[name] != self.sums[end][name])
        return await self._end(), reached

    async def _start(self) -> bool:
        """Does the host's writes; the last is accepted at the beginning of cycle 0."""
        if not await start(self.port, self.job, self.step):
            return False
        self.begin = _now()
        self.rise: Task[int] = cocotb.start_soon(self._rise())
        return True

    async def _rise(self) -> int:
        await RisingEdge(self.dut.interrupt)
        return _now()

    async def _end(self) -> Ending:
        """Waits for the interrupt, lets the pipelines drain and reads what the host reads."""
        end = self.begin + self.limit * PERIOD
        if not self.rise.done():
            await First(self.rise, Timer(max(1, end - _now()), "ns"))
        ended = self.rise.done()
        if ended:
            end = self.rise.result()
        else:
            self.rise.cancel()
        cycles = round((end - self.begin) / PERIOD)
        # Between two edges, so that the next one is told without doubt.
        remaining = self.begin + (cycles + DRAIN) * PERIOD + FLIP - _now()
        if remaining > 0:
            await Timer(remaining, "ns")
        await RisingEdge(self.dut.clk)
        ending = await Ending.read(self.port, self.program.config, cycles, ended)
        await self._cycles(2)
        return ending

    def _flip(self, fault: Fault) -> None:
        site = fault.site
        handle = getattr(self.dut, site.signal)
        if site.address is not None:
            handle = handle[site.address]
        handle.value = int(handle.value) ^ 1 << site.bit

    async def _reset(self) -> None:
        self.port.quiet()
        self.dut.rst.value = 1
        await self._cycles(3)
        self.dut.rst.value = 0
        await self._cycles(DRAIN)

    async def _cycles(self, count: int) -> None:
        """Lets cycles pass; afterwards the clock has just fallen."""
        await RisingEdge(self.dut.clk)
        await Timer((count - 1) * PERIOD + FLIP, "ns")

    async def _moment(self, cycle: int, nanoseconds: int) -> None:
        """Lets time pass until so long after the edge that begins a cycle."""
        await Timer(self.begin + cycle * PERIOD + nanoseconds - _now(), "ns")

    def _affected(self, fault: Fault) -> list[str]:
        """Memories that a fault can have changed."""
        constant = [name for name in self.memories.names if name not in self.variable]
        if self.job.netlist.held[fault.site.signal].role in (Role.HOST, Role.COUNTER):
            return self.variable + constant
        return self.variable + [name for name in constant if name == fault.site.signal]


def _integers(words: list[tuple[int, int | str]]) -> list[tuple[int, int]]:
    return [(at, int(value, 2) if isinstance(value, str) else value) for at, value in words]


def _now() -> int:
    return round(get_sim_time("ns"))
