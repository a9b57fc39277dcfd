"""Many machines at once against as many models that run one after the other."""

import ctypes
import random

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from holdfast.sim.compiled.many import MACHINES, build_many
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.compiled.nodes import Layout
from holdfast.sim.netlist.netlist import Netlist


class Mixed(wiring.Component):
    """Operations of all kinds, on operands of many widths, and memories of odd depths."""

    a: In(signed(11))
    b: In(9)
    choose: In(3)
    told: Out(1)

    def elaborate(self, platform):
        m = Module()
        x, y = Signal(signed(24), init=5), Signal(signed(17))
        wide, wider = Signal(72, init=1 << 70), Signal(130)
        small, number = Signal(5), Signal(40)
        product, sums = Signal(signed(41)), [Signal(signed(20), name=f"sum_{k}") for k in range(3)]
        flags = Signal(12)
        m.submodules.words = words = memory.Memory(shape=13, depth=11, init=[])
        m.submodules.deep = deep = memory.Memory(shape=36, depth=16, init=[])
        reads = [words.read_port(domain="comb"), deep.read_port(), words.read_port()]
        writes = [words.write_port(), deep.write_port()]
        m.d.comb += [
            reads[0].addr.eq(small), reads[1].addr.eq(y[3:7]), reads[2].addr.eq(self.b[:4]),
            reads[1].en.eq(self.b[1]), reads[2].en.eq(1),
            writes[0].addr.eq(x[2:6]), writes[0].data.eq(reads[0].data ^ y[:13]),
            writes[0].en.eq(flags[0] | self.choose[1]),
            writes[1].addr.eq(small[1:]), writes[1].data.eq(number[2:38]),
            writes[1].en.eq(flags[3]),
        ]  # fmt: skip
        m.d.sync += [
            x.eq(x + self.a * 3 - y),
            product.eq(x * y),
            number.eq(Mux(flags[2], (product >> small) + reads[1].data, number << self.choose)),
            small.eq(small + reads[2].data[4:9] + self.b[8]),
            wide.eq(Mux(self.b[0], Cat(wide[9:], self.b), wide ^ Cat(number, x))),
            flags.eq(
                Cat(
                    x < y, x <= self.a, self.a > y, self.b >= small, x == y[:5].as_signed(),
                    x != self.b, wide[:50].any(), small.all(), (x ^ y).xor(), ~wide[60:].bool(),
                    (x > 0) & (number != 0), y.as_unsigned() < x.as_unsigned(),
                )
            ),
        ]  # fmt: skip
        with m.If(self.b[2]):
            m.d.sync += wider.eq(Cat(wide, wider[70:]) & ~Cat(number, number, number, x))
        with m.Switch(self.choose):
            for k in range(5):
                with m.Case(k):
                    m.d.sync += y.eq(sums[k % 3] >> k)
        for k, total in enumerate(sums):
            with m.If(flags[k + 4]):
                m.d.sync += total.eq(total - (x >> self.choose) + wider[k * 40 : k * 40 + 35])
        m.d.comb += self.told.eq(flags[1] & ~wider[128] | (self.b == 3))
        return m


@pytest.fixture(scope="module")
def netlist():
    return Netlist.of(Mixed(), "mixed")


def room(size):
    space = np.zeros(size + 64, np.uint8)
    start = -space.ctypes.data % 64
    return space[start : start + size]


class Machines:
    """The library, with arrays of its own."""

    def __init__(self, netlist):
        self.library = ctypes.CDLL(str(build_many(netlist, "told")))
        self.layout = layout = Layout(netlist)
        self.state, self.following = (room(layout.state * MACHINES + 64) for _ in range(2))
        self.ports, self.told = room(layout.ports * MACHINES + 64), room(MACHINES)
        self.words = room(layout.stride * MACHINES)

    def place(self, pieces, buffer, number, value=None):
        """Reads or writes what one machine has in a register or at an input."""
        found = 0
        for k, piece in enumerate(pieces):
            start = piece.address * MACHINES + number * piece.size
            view = buffer[start : start + piece.size]
            if value is not None:
                part = value >> 32 * k & (1 << piece.width) - 1
                view[:] = np.frombuffer(part.to_bytes(piece.size, "little"), np.uint8)
            found |= int.from_bytes(view.tobytes(), "little") << 32 * k
        return found

    def step(self):
        arrays = (self.state, self.following, self.ports, self.words)
        self.library.machines_step(*(ctypes.c_void_p(a.ctypes.data) for a in arrays))
        self.state, self.following = self.following, self.state

    def outputs(self):
        arrays = (self.state, self.ports, self.told)
        self.library.machines_output(*(ctypes.c_void_p(a.ctypes.data) for a in arrays))
        return self.told.tolist()

    def memory(self, model, name, number):
        found = model.read_memory(name)
        start = number * self.layout.stride + self.layout.memories[name]
        view = self.words[start : start + found.nbytes].view(found.dtype)
        return view.reshape(found.shape)


def test_each_machine_does_what_one_alone_does(netlist):
    """Other states, inputs and memories in every machine, and all registers in every cycle."""
    source = random.Random(3)
    machines, models = Machines(netlist), [CompiledModel(netlist) for _ in range(MACHINES)]
    layout = machines.layout
    inputs = [p for p in netlist.ports if p.direction == "input" and p.name not in ("clk", "rst")]
    for number, model in enumerate(models):
        for ff in netlist.flip_flops:
            value = source.getrandbits(ff.width)
            model.write(ff.name, value)
            machines.place(layout.registers[ff.name], machines.state, number, value)
        for store in netlist.memories:
            words = [source.getrandbits(store.width) for _ in range(store.depth)]
            model.write_memory(store.name, np.array(words))
            machines.memory(model, store.name, number)[:] = model.read_memory(store.name)
    seen = set()
    for cycle in range(400):
        for number, model in enumerate(models):
            for port in inputs:
                value = source.getrandbits(port.width)
                model.poke(port.name, value)
                machines.place(layout.inputs[port.name], machines.ports, number, value)
        assert machines.outputs() == [model.peek("told") for model in models], cycle
        seen |= set(machines.outputs())
        machines.step()
        for number, model in enumerate(models):
            model.step()
            for ff in netlist.flip_flops:
                found = machines.place(layout.registers[ff.name], machines.state, number)
                assert found == model.read(ff.name), (cycle, number, ff.name)
            for store in netlist.memories:
                found = machines.memory(model, store.name, number)
                assert np.array_equal(found, model.read_memory(store.name)), (cycle, store.name)
    assert seen == {0, 1}
