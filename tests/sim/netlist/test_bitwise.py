"""Logic of a small netlist in many cycles at once: what reaches what, and what changes."""

import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.sim.netlist.bitwise import Logic
from holdfast.sim.netlist.netlist import Netlist
from holdfast.sim.netlist.rtlil import Cell, parse_module
from holdfast.sim.netlist.rtlil import Module as Netlisted

CYCLES = 50
ONES = (1 << CYCLES) - 1


class Mixed(wiring.Component):
    """Registers behind a sum, a comparison and a product."""

    a: In(4)
    b: In(4)
    sum_out: Out(5)
    below_out: Out(1)
    product_out: Out(8)

    def elaborate(self, platform):
        m = Module()
        total, below, product = Signal(5), Signal(), Signal(8)
        m.d.sync += [
            total.eq(self.a + self.b),
            below.eq(self.a < self.b),
            product.eq((self.a * self.b) ^ self.a),
        ]
        m.d.comb += [self.sum_out.eq(total), self.below_out.eq(below), self.product_out.eq(product)]
        return m


@pytest.fixture(scope="module")
def logic():
    return Logic(parse_module(Netlist.of(Mixed(), "mixed").rtlil))


@pytest.fixture(scope="module")
def inputs():
    source = random.Random(1)
    return [(source.getrandbits(4), source.getrandbits(4)) for _ in range(CYCLES)]


def nets(name, values):
    return {
        (name, bit): sum((value >> bit & 1) << t for t, value in enumerate(values))
        for bit in range(4)
    }


def register(logic, name):
    """Nets at the input of the register that drives a port."""
    output = logic.net(name)
    (cell,) = (c for c in logic.registers if output in logic.pin(c, "\\Q"))
    return logic.pin(cell, "\\D")


def given(inputs):
    both = nets("a", [a for a, _ in inputs]) | nets("b", [b for _, b in inputs])
    return both | {("rst", 0): 0}


def value_of(logic, found, name, cycle):
    return sum((found[net] >> cycle & 1) << bit for bit, net in enumerate(register(logic, name)))


def test_evaluates_what_determines_a_register(logic, inputs):
    values = given(inputs)
    wanted = register(logic, "sum_out") + register(logic, "below_out")
    logic.evaluate(logic.sources(wanted), values, ONES)
    for t, (a, b) in enumerate(inputs):
        assert value_of(logic, values, "sum_out", t) == a + b
        assert value_of(logic, values, "below_out", t) == (a < b)


def test_a_product_and_what_depends_on_it_are_left_out(logic, inputs):
    values = given(inputs)
    logic.evaluate(logic.sources(register(logic, "product_out")), values, ONES)
    assert not any(net in values for net in register(logic, "product_out"))


def test_a_change_spreads_as_far_as_it_reaches(logic, inputs):
    values = given(inputs)
    known = register(logic, "sum_out") + register(logic, "below_out")
    cells = logic.sources(known)
    logic.evaluate(cells, values, ONES)
    # Bit 2 of b is inverted in every third cycle.
    when = sum(1 << t for t in range(0, CYCLES, 3))
    changed, unknown = logic.spread({("b", 2): values["b", 2] ^ when}, values, ONES, set(cells))
    assert not unknown
    after = values | changed
    for t, (a, b) in enumerate(inputs):
        other = b ^ 4 if t % 3 == 0 else b
        assert value_of(logic, after, "sum_out", t) == a + other
        assert value_of(logic, after, "below_out", t) == (a < other)
    assert all(changed[net] != values[net] for net in changed)


def test_a_product_is_told_as_unknown_where_it_changes(logic, inputs):
    values = given(inputs)
    cells = logic.fan_out([("a", 0)])
    logic.evaluate(cells, values, ONES)
    when = 0b1011
    _, unknown = logic.spread({("a", 0): values["a", 0] ^ when}, values, ONES, set(cells))
    assert unknown == when


def test_fan_out_and_sources_meet(logic):
    """A cell is in the fan-out of an input if and only if the input is among its sources."""
    reached = set(logic.fan_out([("b", 3)]))
    for number, cell in enumerate(logic.cells):
        cone = logic.sources(logic.pin(cell, "\\Y"))
        read = {net for n in cone for net in logic.inputs(logic.cells[n])}
        assert (number in reached) == (("b", 3) in read)


def test_an_unknown_cell_is_refused():
    module = Netlisted("top", cells=[Cell("$lut", "odd")])
    with pytest.raises(NotImplementedError, match="cell odd is of type \\$lut"):
        Logic(module)
