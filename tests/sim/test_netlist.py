from sim.netlist import Netlist
from tests.sim.small import FLIP_FLOPS, MEMORIES, Small


def test_state_equals_hand_count():
    netlist = Netlist.of(Small(), "small")
    assert {f.name: f.width for f in netlist.flip_flops} == FLIP_FLOPS
    assert {m.name: (m.width, m.depth) for m in netlist.memories} == MEMORIES
    assert netlist.flip_flop_bits == sum(FLIP_FLOPS.values())
    assert netlist.memory_bits == sum(width * depth for width, depth in MEMORIES.values())


def test_initial_values():
    init = {f.name: f.init for f in Netlist.of(Small(), "small").flip_flops}
    assert init["pe_1_1__weight"] == 3
    assert init["wide"] == 1 << 70
    assert init["store__read0"] == 0


def test_ports():
    netlist = Netlist.of(Small(), "small")
    ports = {port.name: (port.width, port.direction) for port in netlist.ports}
    assert ports["a"] == (8, "input")
    assert ports["wide_out"] == (72, "output")
    assert (netlist.clock, netlist.reset) == ("clk", "rst")


def test_same_design_same_text():
    assert Netlist.of(Small(), "small").hash == Netlist.of(Small(), "small").hash


def test_verilog_names_no_file():
    assert ".py" not in Netlist.of(Small(), "small").verilog
