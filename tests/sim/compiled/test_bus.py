"""A small accelerator runs a small network in both engines."""

import random

import numpy as np
import pytest
import torch

from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.golden import Golden
from holdfast.nn.networks.spec import Network
from holdfast.sim.cocotb.build import build_cocotb, run_cocotb
from holdfast.sim.compiled.bus import BusError, CompiledBus
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.driver import image_writes, lanes_from_bytes, network_writes, region, tensor_range
from holdfast.sim.netlist.accelerator import accelerator_netlist
from holdfast.sim.registers import REGISTER, control_word
from tests.random_graph import random_graph
from tests.sim.driven import CONFIG
from tests.sim.small import flip_flop_bits, memory_bits


class Recorder(CompiledModel):
    """Keeps what its ports were in every cycle, and flips bits in some."""

    def __init__(self, netlist, flips=()):
        super().__init__(netlist)
        self.flips = dict(flips)
        self.recorded = []
        self.inputs = [p.name for p in netlist.ports if p.direction == "input" and p.name != "clk"]
        self.outputs = [p.name for p in netlist.ports if p.direction == "output"]
        self.rows = []

    def send(self, channel, data, last, words, limit):
        """As in the compiled harness, cycle by cycle."""
        for index, word in enumerate(words):
            self.poke(f"{channel}valid", 1)
            self.poke(data, int(word))
            self.poke(last, index == len(words) - 1)
            for _ in range(limit):
                taken = self.peek(f"{channel}ready")
                self.step()
                if taken:
                    break
            else:
                return False
        self.poke(f"{channel}valid", 0)
        return True

    def step(self, cycles=1):
        for _ in range(cycles):
            upset = self.flips.get(self.cycles)
            if upset is not None:
                name, address, bit = upset
                self.flip(name, bit, address or 0)
            self.recorded.append(({name: self.peek(name) for name in self.inputs}, upset))
            row = [self.peek(name) for name in self.outputs]
            super().step()
            self.rows.append(row + [self.read(f.name) for f in self.netlist.flip_flops])


@pytest.fixture(scope="module")
def netlist():
    return accelerator_netlist(CONFIG)


@pytest.fixture(scope="module")
def network():
    spec = Network("tiny", (2, 4, 4))
    spec.dense("logits", spec.conv("conv", "image", 3, 3), 4)
    graph = random_graph(spec, seed=1)
    return graph, compile_graph(graph, CONFIG)


def run(model, program, codes):
    """Runs the program; returns the bus, or None if it does not end."""
    bus = CompiledBus(model)
    for address, data in [*network_writes(program), *image_writes(program, codes)]:
        bus.write(address, data)
    bus.write_word(region(0) + REGISTER["count"], len(program.descriptors))
    bus.write_word(region(0) + REGISTER["control"], control_word(start=True))
    for _ in range(100):
        if bus.read_word(region(0) + REGISTER["status"]) & 2:
            return bus
        model.step(20)
    return None


def flips(netlist, seed, count, cycles):
    source = random.Random(seed)
    bits = [(f.name, None, bit) for f in netlist.flip_flops for bit in range(f.width)]
    for memory in netlist.memories:
        bits += [(memory.name, a, bit) for a in range(memory.depth) for bit in range(memory.width)]
    return {source.randrange(cycles): source.choice(bits) for _ in range(count)}


def test_state_is_complete(netlist):
    names = {f.name for f in netlist.flip_flops}
    for row in range(CONFIG.rows):
        for column in range(CONFIG.cols):
            assert any(name.startswith(f"array__pe_{row}_{column}__") for name in names)
    assert not [name for name in names if name.startswith("unnamed")]


@pytest.mark.long
def test_every_bit_flips_in_cocotb(netlist):
    inputs = {p.name: 0 for p in netlist.ports if p.direction == "input" and p.name != "clk"}
    results = run_cocotb(
        build_cocotb(netlist),
        "tests.sim.flip_bench",
        testcase="flip_every_bit",
        parameters={
            "inputs": inputs,
            "flip_flops": [(f.name, f.width) for f in netlist.flip_flops],
            "memories": [(m.name, m.width, m.depth) for m in netlist.memories],
        },
    )
    assert results == {"flipped": flip_flop_bits(netlist) + memory_bits(netlist)}


@pytest.mark.long
def test_outputs_equal_golden_model(netlist, network):
    graph, program = network
    codes = np.random.default_rng(1).integers(-128, 128, graph.nodes[0].shape)
    bus = run(CompiledModel(netlist), program, codes)
    golden = Golden(graph).run(torch.from_numpy(codes[None].astype(np.int8)))
    start, length = tensor_range(program, "logits")
    words = lanes_from_bytes(bus.read(start, length), CONFIG.word_lanes)
    assert (program.tensor_codes("logits", words) == golden.outputs["logits"][0].numpy()).all()


def test_unaligned_bytes(netlist):
    bus = CompiledBus(CompiledModel(netlist))
    start = region(3)
    # Lane 3 of a word does not exist in an array of 3 columns.
    bus.write(start, bytes([1, 2, 3, 0, 5, 6, 7, 0]))
    bus.write(start + 1, bytes([8, 9, 0, 10]))
    assert bus.read(start, 8) == bytes([1, 8, 9, 0, 10, 6, 7, 0])
    assert bus.read(start + 2, 3) == bytes([9, 0, 10])


def test_refused_access_is_told(netlist):
    bus = CompiledBus(CompiledModel(netlist))
    with pytest.raises(BusError, match="refused a read of address"):
        bus.read_word(region(0) + 0x1000)


@pytest.mark.parametrize("upsets", [0, 40])
def test_same_state_in_every_cycle_as_cocotb(netlist, network, upsets):
    graph, program = network
    codes = np.random.default_rng(2).integers(-128, 128, graph.nodes[0].shape)
    model = Recorder(netlist, flips(netlist, 3, upsets, 800))
    try:
        run(model, program, codes)
    except BusError:
        assert upsets
    assert len(model.rows) > 500
    expected = run_cocotb(
        build_cocotb(netlist),
        "tests.sim.compare_bench",
        parameters={
            "cycles": model.recorded,
            "outputs": model.outputs,
            "state": [(f.name, None) for f in netlist.flip_flops],
        },
    )
    assert model.rows == expected
