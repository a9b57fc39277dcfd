"""RTLIL as Yosys writes it, in its forms of signals and constants."""

import pytest

from holdfast.sim.netlist.rtlil import Chunk, parse_module

TEXT = """
autoidx 5
attribute \\top 1
attribute \\src "design.v:1"
module \\top
  wire width 4 input 1 \\a
  wire width 8 output 2 signed \\y
  attribute \\init 8'00000101
  wire width 8 \\state
  wire \\bit
  memory width 5 size 4 \\table
  cell $add \\sum
    parameter signed \\A_SIGNED 1
    parameter \\Y_WIDTH 8
    parameter \\B_WIDTH 32'00000000000000000000000000000011
    connect \\A \\a
    connect \\B { \\state [2:1] 1'1 }
    connect \\Y \\y
  end
  connect \\state { 3'x \\a \\bit }
  connect \\bit \\state [7]
  connect \\y 5
end
"""


@pytest.fixture
def module():
    return parse_module(TEXT)


def test_wires_and_memories(module):
    assert module.name == "\\top"
    a, y, state = (module.wires[name] for name in ("\\a", "\\y", "\\state"))
    assert (a.width, a.direction, a.signed, a.init) == (4, "input", False, "")
    assert (y.width, y.direction, y.signed) == (8, "output", True)
    assert (state.width, state.direction, state.init) == (8, "", "00000101")
    assert module.wires["\\bit"].width == 1
    table = module.memories["\\table"]
    assert (table.width, table.depth) == (5, 4)


def test_cells(module):
    (cell,) = module.cells
    assert (cell.type, cell.name) == ("$add", "\\sum")
    numbers = [cell.number(f"\\{name}") for name in ("A_SIGNED", "Y_WIDTH", "B_WIDTH")]
    assert numbers == [1, 8, 3]
    assert cell.connections["\\A"] == [Chunk("\\a", 0, 4)]
    assert cell.connections["\\B"] == [Chunk("\\state", 1, 2), Chunk(bits="1")]


def test_connections(module):
    first, second, third = module.connections
    assert first == (
        [Chunk("\\state", 0, 8)],
        # Yosys abbreviates a run of equal leading bits to one.
        [Chunk(bits="xxx"), Chunk("\\a", 0, 4), Chunk("\\bit", 0, 1)],
    )
    assert second == ([Chunk("\\bit", 0, 1)], [Chunk("\\state", 7, 1)])
    # Some constants of 32 bits are written in decimal.
    assert third == ([Chunk("\\y", 0, 8)], [Chunk(bits=format(5, "032b"))])


def test_text_reads_back_as_the_same_module(module):
    assert parse_module(module.to_text()) == module


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("module \\a\nend\nmodule \\b\nend\n", r"more than one module: \\a and \\b"),
        ("module \\a\n  process $p\n  end\nend\n", r"process in \\a"),
    ],
)
def test_what_is_no_flattened_module(text, message):
    with pytest.raises(ValueError, match=message):
        parse_module(text)
