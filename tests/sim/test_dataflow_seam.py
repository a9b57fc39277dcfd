"""A dataflow of one's own: one more register, its latencies, and its timeline by name."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from amaranth.hdl import Signal

from holdfast.base.errors import HoldfastError
from holdfast.fault.campaign.engine import Engine
from holdfast.fault.injection.session import RtlSession
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import Site
from holdfast.fault.peers.shortcuts import Shortcuts
from holdfast.gen.accelerator import Accelerator
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.registry import DATAFLOWS
from holdfast.gen.dataflow.weight_stationary import StationaryLatencies, WeightStationary
from holdfast.gen.roles import Role
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.mappings.registry import MAPPINGS
from holdfast.nn.compiler.mappings.weight_stationary import weight_stationary
from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.guard_modes import GUARD_OFF
from holdfast.nn.networks.spec import Network
from holdfast.sim.compiled.build import build_compiled
from holdfast.sim.compiled.host import compiled_host
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.host import complete
from holdfast.sim.layers import golden_run, run_layers
from holdfast.sim.machine.cycles import step_cycles
from holdfast.sim.machine.schedule import START_CYCLES, TIMELINES, Schedule
from holdfast.sim.machine.stationary import StationaryTimeline
from holdfast.sim.netlist.netlist import Netlist
from holdfast.sim.registers import REGISTER, control_word
from tests.random_graph import random_graph

CONFIG = AcceleratorConfig(
    rows=2, cols=3, act_depth=256, weight_depth=512, acc_depth=64, param_depth=32, program_depth=16,
    dataflow="registered",
)  # fmt: skip
INPUTS = ("act", "swap", "weight", "load")


class RegisteredLatencies(StationaryLatencies):
    """Everything that enters the array comes a cycle later."""

    enter, swap = StationaryLatencies.enter + 1, StationaryLatencies.swap + 1
    load = StationaryLatencies.load + 1


class Registered(WeightStationary):
    """The weight-stationary array behind a stage of registers."""

    name = "registered"
    latencies = RegisteredLatencies

    def connect(self, m, sequencer, word, weights):
        units, array = self.units, self.array
        before = {name: Signal.like(getattr(array, name), name=f"before_{name}") for name in INPUTS}
        self.units = units | {"array": SimpleNamespace(**before)}
        super().connect(m, sequencer, word, weights)
        self.units = units
        m.d.sync += [getattr(array, name).eq(signal) for name, signal in before.items()]


class RegisteredTimeline(StationaryTimeline):
    """The same reads and tiles; the distances are those of `RegisteredLatencies`."""


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(DATAFLOWS, Registered.name, Registered)
    monkeypatch.setitem(MAPPINGS, Registered.name, weight_stationary)
    monkeypatch.setitem(TIMELINES, Registered.name, RegisteredTimeline)


def network():
    net = Network("kinds", input_shape=(3, 5, 5))
    x = net.conv("conv", "image", 5, 3)
    x = net.add("both", net.conv("point", x, 5, 1, activation="none"), x)
    net.dense("logits", net.pool("maxpool", "pool", x, 5, 5), 7)
    return random_graph(net, seed=1)


CODES = np.random.default_rng(1).integers(-128, 128, (1, 3, 5, 5)).astype(np.int8)


@pytest.mark.long
def test_it_is_bit_exact_in_exactly_the_predicted_cycles():
    program = compile_graph(network(), CONFIG)
    assert isinstance(Schedule(program).runs[0], RegisteredTimeline)
    build = build_compiled(Netlist.of(Accelerator(CONFIG), "registered"))
    runs = run_layers(build, program, golden_run(program, torch.from_numpy(CODES)))
    usual = compile_graph(network(), CONFIG.with_(dataflow="weight_stationary"))
    assert len(runs) == len(program.steps) > 3
    for run, step, other in zip(runs, program.steps, usual.steps, strict=True):
        predicted = step_cycles(program, step)
        assert (run.mismatches, run.spent) == (0, predicted), run.name
        assert run.cycles == START_CYCLES + predicted.total()
        assert predicted.total() == step_cycles(usual, other).total() + step.count


@pytest.mark.long
def test_its_timeline_tells_when_outputs_are_written():
    program = compile_graph(network(), CONFIG)
    netlist = Netlist.of(Accelerator(CONFIG), "registered")
    model = CompiledModel(netlist)
    host = compiled_host(model)
    complete(host.load(program))
    complete(host.write_tensor(program, "image", CODES[0]))
    complete(host.write_register("count", len(program.descriptors)))
    complete(host.port.post(REGISTER["control"], control_word(start=True, interrupt=True)))
    schedule = Schedule(program)
    run = schedule.runs[0]
    bank = run.descriptor.output_bank
    (memory,) = (
        name for name in netlist.names(Role.ACTIVATION_WORDS)
        if (netlist.held[name].place["bank"], netlist.held[name].place["lane"]) == (bank, 0)
    )  # fmt: skip
    predicted = run.write_cycles(np.arange(CONFIG.act_depth), 0)
    seen = model.read_memory(memory)
    written = 0
    for cycle in range(run.end):
        model.step()
        now = model.read_memory(memory)
        changed = np.flatnonzero(now != seen)
        # A word is at the write port in its cycle, and in the memory after the edge that ends it.
        assert (predicted[changed] == cycle).all(), cycle
        written += len(changed)
        seen = now
    assert written > 10
    assert model.run_until("interrupt", 1, 10_000) == schedule.cycles - run.end


def test_a_dataflow_without_a_timeline_is_named(monkeypatch):
    monkeypatch.delitem(TIMELINES, Registered.name)
    with pytest.raises(HoldfastError, match="no timeline for the dataflow 'registered', only for"):
        Schedule(compile_graph(network(), CONFIG))


def test_its_faults_are_decided_by_rtl():
    """The registers' closed forms know the latencies of the weight-stationary array."""
    config = CONFIG.with_(param_depth=128)
    program, netlist = (
        compile_graph(network(), config),
        Netlist.of(Accelerator(config), "registered"),
    )
    session = RtlSession(program, netlist, GUARD_OFF)
    engine = Engine(session, CODES[0], session.record(CODES[0]))
    golden = Golden(program.graph).logits(torch.from_numpy(CODES)).numpy().astype(np.int8)
    assert engine.plain(Fault((), 0)).output == golden.tobytes()
    run = engine.inference.schedule.runs[0]
    faults = [
        Fault((Site(name, None, 5),), cycle)
        for name in netlist.names(Role.PE_SHADOW)
        for cycle in range(int(run.start[0]), run.end, 5)
    ]
    results = engine.run(faults)
    assert {result.path for result in results} == {"plain"}
    both = zip(faults, results, strict=True)
    assert all(result.agrees(engine.plain(fault)) for fault, result in both)
    with pytest.raises(HoldfastError, match=r"^a tile .* is for the dataflow weight_stat"):
        Shortcuts(requantize="tile").check(program, True, False, 0)
