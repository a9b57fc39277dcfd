"""Where the state of many machines lies, and what is taken from a netlist's cells."""

import itertools

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from holdfast.sim.compiled.nodes import BLOCK, Layout, Logic
from holdfast.sim.netlist.netlist import Netlist
from tests.sim.small import Small


class Store(wiring.Component):
    """Registers of several widths, and two memories."""

    a: In(70)
    q: Out(1)

    def elaborate(self, platform):
        m = Module()
        wide = Signal(70)
        flag = Signal()
        half = Signal(16)
        m.submodules.first = first = memory.Memory(shape=9, depth=300, init=[])
        m.submodules.second = second = memory.Memory(shape=3, depth=5, init=[])
        total = half
        for store, address in ((first, half[:9]), (second, half[:3])):
            write, read = store.write_port(), store.read_port()
            m.d.comb += [write.addr.eq(address), write.data.eq(wide), write.en.eq(flag)]
            m.d.comb += [read.addr.eq(address), read.en.eq(1)]
            total = total + read.data
        m.d.sync += half.eq(total)
        m.d.sync += [wide.eq(wide ^ self.a), flag.eq(wide[69] & half[3])]
        m.d.comb += self.q.eq(flag & wide[0])
        return m


@pytest.fixture(scope="module")
def netlist():
    return Netlist.of(Store(), "store")


def apart(ranges):
    """Whether no two ranges have a byte in common."""
    return all(a[1] <= b[0] for a, b in itertools.pairwise(sorted(ranges)))


def test_nothing_lies_on_something_else(netlist):
    layout = Layout(netlist)
    wide = layout.registers["wide"]
    assert [piece.width for piece in wide] == [32, 32, 6]
    assert layout.registers["flag"][0].size == 1 and layout.registers["half"][0].size == 2
    pieces = [piece for pieces in layout.registers.values() for piece in pieces]
    assert apart([(piece.address, piece.address + piece.size) for piece in pieces])
    assert all(piece.address % piece.size == 0 for piece in pieces)
    assert max(piece.address + piece.size for piece in pieces) <= layout.state
    # 300 words of two bytes and 5 of one; the blocks of one are none of the other.
    assert sorted(layout.memories.values()) == [0, 3 * BLOCK]
    assert layout.words == 4 * BLOCK and layout.stride >= layout.words + 4


def test_an_input_that_is_fixed_is_read_by_nothing(netlist):
    found = {}
    for reset in ({}, {"rst": 0}):
        layout = Layout(netlist)
        logic = Logic(netlist, layout, reset)
        (rst,) = layout.inputs["rst"]
        pins = [pin for node in (*logic.nodes, *logic.updates) for pin in node.pins.values()]
        found[len(reset)] = len(logic.nodes), any(p.variable is rst for pin in pins for p in pin)
    assert found[0][1] and not found[1][1]
    assert found[1][0] < found[0][0]


def test_what_is_not_covered_is_refused():
    netlist = Netlist.of(Small(), "small")
    with pytest.raises(NotImplementedError, match="parts of a word"):
        Logic(netlist, Layout(netlist), {})
