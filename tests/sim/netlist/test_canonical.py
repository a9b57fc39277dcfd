"""Names of registers, and memories whose clocked read ports become registers."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.netlist.canonical import Canonical
from holdfast.sim.netlist.netlist import Netlist
from holdfast.sim.netlist.rtlil import parse_module


def canonical(*lines):
    """A module of 4-bit registers behind the input ``d``, from its wires, cells and connections."""
    text = ["module \\top", "wire input 1 \\clk", "wire width 4 input 2 \\d", *lines, "end"]
    found = Canonical(parse_module("\n".join(text)))
    found.run()
    return found


def register(name, number=1, kind="$dff", polarity=1, clock="\\clk"):
    return (
        f"cell {kind} $cell${number}",
        "parameter \\WIDTH 4",
        f"parameter \\CLK_POLARITY {polarity}",
        f"connect \\CLK {clock}",
        "connect \\D \\d",
        f"connect \\Q {name}",
        "end",
    )


def names(found):
    return [name for name, _, _ in found.registers]


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        ("\\weight", "weight"),
        ("\\reg", "reg_"),
        ("\\always", "always_"),
        ("\\a.b[3]", "a_b_3_"),
        ("\\3rd", "r3rd"),
        ("\\_hidden", "hidden"),
        ("\\name$12", "name"),
        ("$procdff$7", "unnamed"),
    ],
)
def test_a_register_gets_a_plain_name(wire, name):
    found = canonical(f"wire width 4 {wire}", *register(wire))
    assert found.registers == [(name, 4, 0)]
    assert found.clock == "clk"


def test_names_that_collide_are_numbered():
    wires = ("\\a_b", "\\a.b", "\\a[b", "\\a b".replace(" ", "~"))
    lines = [f"wire width 4 {wire}" for wire in wires]
    for number, wire in enumerate(wires):
        lines += register(wire, number)
    assert names(canonical(*lines)) == ["a_b", "a_b_2", "a_b_3", "a_b_4"]


def test_a_register_that_is_a_port_is_stored_inside():
    found = canonical("wire width 4 output 3 \\q", *register("\\q"))
    assert names(found) == ["q_reg"]
    assert ("\\q" in found.module.wires) and found.module.wires["\\q_reg"].direction == ""
    # The design's own name of it is better, the least deep of them.
    found = canonical(
        "wire width 4 output 3 \\q", "wire width 4 \\sub__deep__kept", "wire width 4 \\sub__kept",
        *register("\\q"), "connect \\sub__deep__kept \\q", "connect \\sub__kept \\q",
    )  # fmt: skip
    assert names(found) == ["sub__kept"]


def test_parts_of_a_wire_are_registers_of_their_own():
    found = canonical(
        "attribute \\init 8'01011010", "wire width 8 \\halves",
        *register("\\halves [3:0]", 1), *register("\\halves [7:4]", 2),
    )  # fmt: skip
    assert found.registers == [("halves_3_0", 4, 0b1010), ("halves_7_4", 4, 0b0101)]
    assert found.module.wires["\\halves"].init == ""


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (register("\\q", polarity=0), "register q is not clocked by the rising edge"),
        (("wire \\other", *register("\\q"), *register("\\r", 2, clock="\\other")),
         "register r is not clocked by the rising edge of 'clk' as the others are"),
        (register("\\q", kind="$dlatch"), r"\$dlatch cell \$cell\$1"),
    ],
    ids=["falling edge", "two clocks", "latch"],
)  # fmt: skip
def test_state_of_other_kinds_is_refused(lines, message):
    with pytest.raises(NotImplementedError, match=message):
        canonical("wire width 4 \\q", "wire width 4 \\r", *lines)


class Memories(wiring.Component):
    """A memory with two clocked read ports, of which one sees what is written at once."""

    address: In(2)
    written: In(2)
    data: In(8)
    enable: In(1)
    write: In(2)
    old: Out(8)
    new: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = memory.Memory(shape=8, depth=4, init=[3, 1, 4, 1])
        port = store.write_port(granularity=4)
        old = store.read_port()
        new = store.read_port(transparent_for=(port,))
        m.d.comb += [
            port.addr.eq(self.written),
            port.data.eq(self.data),
            port.en.eq(self.write),
            old.addr.eq(self.address),
            old.en.eq(self.enable),
            new.addr.eq(self.address),
            self.old.eq(old.data),
            self.new.eq(new.data),
        ]
        return m


def test_read_ports_become_registers():
    netlist = Netlist.of(Memories(), "top")
    assert [f.name for f in netlist.flip_flops] == ["store__read0", "store__read1"]
    assert all((f.width, f.init) == (8, 0) for f in netlist.flip_flops)
    module = parse_module(netlist.rtlil)
    reads = [cell for cell in module.cells if cell.type == "$memrd_v2"]
    assert len(reads) == 2 and not any(cell.number("\\CLK_ENABLE") for cell in reads)
    assert not any("1" in cell.parameters["\\TRANSPARENCY_MASK"].split("'")[1] for cell in reads)


@pytest.mark.long
def test_a_transparent_port_forwards_what_is_written():
    """In the same cycle: part of a word, at the same address or another, enabled or not."""
    model = CompiledModel(Netlist.of(Memories(), "top"))
    words, old, new = [3, 1, 4, 1], 0, 0
    for cycle in range(64):
        address, written = cycle % 4, cycle // 4 % 4
        enable, write, data = cycle // 2 % 2, cycle // 16, cycle * 37 % 256
        inputs = {"address": address, "written": written, "data": data}
        for name, value in (inputs | {"enable": enable, "write": write}).items():
            model.poke(name, value)
        model.step()
        mask = (0x0F if write & 1 else 0) | (0xF0 if write & 2 else 0)
        after = words[written] & ~mask | data & mask
        old = words[address] if enable else old
        new = after if address == written else words[address]
        words[written] = after
        assert (model.peek("old"), model.peek("new")) == (old, new), cycle
