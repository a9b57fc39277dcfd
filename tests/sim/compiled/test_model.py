import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from holdfast.sim.cocotb.build import build_cocotb, run_cocotb
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.netlist.netlist import Netlist
from tests.sim.small import Small

CYCLES = 300


@pytest.fixture(scope="module")
def netlist():
    return Netlist.of(Small(), "small")


@pytest.fixture
def model(netlist):
    return CompiledModel(netlist)


def stimulus(netlist, seed):
    """Inputs of every cycle; reset in few of them."""
    source = random.Random(seed)
    ports = [p for p in netlist.ports if p.direction == "input" and p.name not in ("clk", "rst")]
    return [
        {port.name: source.getrandbits(port.width) for port in ports}
        | {"rst": int(source.random() < 0.02)}
        for _ in range(CYCLES)
    ]


def flips(netlist, seed):
    """For every cycle None or (name, address or None, bit)."""
    source = random.Random(seed)
    bits = [(f.name, None, f.width) for f in netlist.flip_flops]
    bits += [(m.name, a, m.width) for m in netlist.memories for a in range(m.depth)]

    def one():
        name, address, width = source.choice(bits)
        return name, address, source.randrange(width)

    return [one() if source.random() < 0.3 else None for _ in range(CYCLES)]


def outputs_of(netlist):
    return [port.name for port in netlist.ports if port.direction == "output"]


def state_of(netlist):
    state = [(f.name, None) for f in netlist.flip_flops]
    return state + [(m.name, m.depth) for m in netlist.memories]


def run_compiled(model, inputs, flips):
    netlist = model.netlist
    recorded = []
    for values, flip in zip(inputs, flips, strict=True):
        for name, value in values.items():
            model.poke(name, value)
        if flip is not None:
            name, address, bit = flip
            model.flip(name, bit, address or 0)
        row = [model.peek(name) for name in outputs_of(netlist)]
        model.step()
        for name, depth in state_of(netlist):
            row += [model.read(name, index) for index in range(depth or 1)]
        recorded.append(row)
    return recorded


@pytest.mark.parametrize("seed", [1, 2])
def test_equals_cocotb_with_flips(netlist, model, seed):
    inputs, upsets = stimulus(netlist, seed), flips(netlist, seed)
    expected = run_cocotb(
        build_cocotb(netlist),
        "tests.sim.compare_bench",
        parameters={
            "cycles": list(zip(inputs, upsets, strict=True)),
            "outputs": outputs_of(netlist),
            "state": state_of(netlist),
        },
    )
    assert run_compiled(model, inputs, upsets) == expected


def test_equals_amaranth(netlist, model):
    inputs = [values | {"rst": 0} for values in stimulus(netlist, 3)]
    names = outputs_of(netlist)
    design = Small()
    expected = []

    async def bench(ctx):
        for values in inputs:
            for name, value in values.items():
                if name != "rst":
                    ctx.set(getattr(design, name), value)
            row = [ctx.get(getattr(design, name)) for name in names]
            expected.append(
                [
                    value & ((1 << len(getattr(design, name))) - 1)
                    for name, value in zip(names, row, strict=True)
                ]
            )
            await ctx.tick()

    simulator = Simulator(design)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    found = run_compiled(model, inputs, [None] * CYCLES)
    assert [row[: len(names)] for row in found] == expected


def test_every_bit_flips_and_reads_back(netlist, model):
    for name, depth in state_of(netlist):
        for index in range(depth or 1):
            before = model.read(name, index)
            for bit in range(model._places[name].width):
                model.flip(name, bit, index)
                assert model.read(name, index) == before ^ 1 << bit
                model.flip(name, bit, index)


def test_snapshot_restores_everything(netlist, model):
    inputs = stimulus(netlist, 4)
    none = [None] * CYCLES
    run_compiled(model, stimulus(netlist, 5), none)
    before = model.snapshot()
    first = run_compiled(model, inputs, none)
    assert model.differences(before)
    model.restore(before)
    assert model.differences(before) == [] and model.cycles == CYCLES
    assert run_compiled(model, inputs, none) == first
    other = CompiledModel(netlist)
    other.restore(before)
    assert run_compiled(other, inputs, none) == first


def test_differences_name_what_differs(model):
    before = model.snapshot()
    assert model.differences(before) == []
    model.flip("copy1", 3)
    model.flip("store", 31, index=7)
    assert model.differences(before) == ["copy1", "store"]
    model.flip("copy1", 3)
    model.flip("store", 31, index=7)
    assert model.differences(before) == []


def test_run_until(model):
    model.poke("en", 1)
    assert model.run_until("count", 100, max_cycles=1000) == 100
    assert model.run_until("count", 100, max_cycles=127) is None
    assert model.cycles == 227
    assert model.run_until("count", 100, max_cycles=1) == 1


def test_memories_as_arrays(model):
    assert model.read_memory("store")[:4].tolist() == [1, 2, 3, 0]
    model.write_memory("store", np.arange(4, dtype=np.int64) - 2, start=12)
    assert model.read_memory("store")[12:].tolist() == [2**32 - 2, 2**32 - 1, 0, 1]
    assert model.read("store", 12) == 2**32 - 2


def test_mistakes(model):
    with pytest.raises(KeyError, match="no flip-flop or memory 'nothing'"):
        model.read("nothing")
    with pytest.raises(KeyError, match="no input 'q'"):
        model.poke("q", 0)
    with pytest.raises(KeyError, match="no input 'clk'"):
        model.poke("clk", 0)
    with pytest.raises(IndexError, match=r"words 0\.\.15, not 16"):
        model.read("store", 16)
    with pytest.raises(IndexError, match=r"bit of copy0 must be in 0\.\.7, not 8"):
        model.flip("copy0", 8)
    with pytest.raises(ValueError, match="has 8 bits, too few for 256"):
        model.write("copy0", 256)
    with pytest.raises(ValueError, match="must have 5 bits"):
        model.write_memory("table_", [32])
    with pytest.raises(IndexError, match="16 words, not 17"):
        model.write_memory("store", [0, 0], start=15)
