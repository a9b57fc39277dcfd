import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.base.errors import HoldfastError
from holdfast.sim.netlist.netlist import FlipFlop, Memory, Netlist, Port
from tests.sim.small import FLIP_FLOPS, MEMORIES, Small, flip_flop_bits, memory_bits


def test_state_equals_hand_count():
    netlist = Netlist.of(Small(), "small")
    assert {f.name: f.width for f in netlist.flip_flops} == FLIP_FLOPS
    assert {m.name: (m.width, m.depth) for m in netlist.memories} == MEMORIES
    assert flip_flop_bits(netlist) == sum(FLIP_FLOPS.values())
    assert memory_bits(netlist) == sum(width * depth for width, depth in MEMORIES.values())


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


def test_a_cone_has_what_an_output_depends_on():
    netlist = Netlist.of(Small(), "small")
    cone = netlist.cone("wide_out")
    assert "wide" in {f.name for f in cone.flip_flops}
    assert set(cone.flip_flops) < set(netlist.flip_flops)
    assert not any(f.name.startswith("pe_") for f in cone.flip_flops)
    assert [p.name for p in cone.ports if p.direction == "output"] == ["wide_out"]
    assert len(cone.verilog) < len(netlist.verilog)


def test_same_design_same_text():
    assert Netlist.of(Small(), "small").hash == Netlist.of(Small(), "small").hash


def test_verilog_names_no_file():
    assert ".py" not in Netlist.of(Small(), "small").verilog


names = st.text(max_size=12)
numbers = st.integers(min_value=0)


@given(
    st.builds(
        Netlist,
        top=names,
        verilog=st.text(),
        rtlil=st.text(),
        ports=st.lists(st.builds(Port, names, numbers, names, st.booleans())).map(tuple),
        flip_flops=st.lists(st.builds(FlipFlop, names, numbers, st.integers())).map(tuple),
        memories=st.lists(st.builds(Memory, names, numbers, numbers)).map(tuple),
        clock=names,
        reset=names,
    )
)
def test_a_written_netlist_reads_back(netlist):
    text = netlist.to_json()
    again = Netlist.from_json(text.encode())
    assert again == netlist
    # Numbers are not booleans, nor the other way round.
    assert repr(again) == repr(netlist)
    content = json.loads(text)
    assert set(content) == {field.name for field in fields(Netlist)}
    for name in content:
        with pytest.raises(HoldfastError, match="netlist has other fields"):
            Netlist.from_json(json.dumps({k: v for k, v in content.items() if k != name}))
