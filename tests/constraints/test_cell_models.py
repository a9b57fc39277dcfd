"""The models of block RAM, against Python arrays: what Yosys makes of memories of every shape, and
what the models refuse.
"""

import multiprocessing

import numpy as np
import pytest

from holdfast.constraints.families.registry import FAMILIES
from holdfast.constraints.flow.yosys import run_script
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.netlist.netlist import Port
from tests.constraints.design.gate_level import MODELS, with_cells

SHAPES = {
    # By words and bits: the deepest to the widest a block can be.
    (16384, 1): 1, (8192, 2): 1, (4096, 4): 1, (2048, 8): 1, (2048, 9): 1, (1024, 16): 2,
    (1024, 18): 2, (512, 36): 4,
}  # fmt: skip
"""Write enables by shape."""

CELLS = {"ecp5": ("DP16KD",), "gowin": ("DPB", "DPX9B", "SDPX9B")}
WIDEST = {"ecp5": 18, "gowin": 36}
STEPS = 3000


def memory(name, depth, width, enables, attribute):
    byte = width // enables
    writes = "".join(
        f"if (we[{part}]) m_{name}[wa][{part * byte} +: {byte}] <= d[{part * byte} +: {byte}];\n"
        for part in range(enables)
    )
    return f"""
  {attribute} reg [{width - 1}:0] m_{name} [0:{depth - 1}];
  always @(posedge clk) begin
    if (re) q_{name} <= m_{name}[ra];
    {writes}
  end
"""


def design(shapes):
    """Memories with one port to read and one to write, and one with two that do both."""
    outputs, text = [], ""
    for (depth, width), enables in shapes.items():
        for kind, attribute in (("old", ""), ("any", "(* no_rw_check *)")):
            name = f"{depth}_{width}_{kind}"
            outputs.append((f"q_{name}", width))
            text += memory(name, depth, width, enables, attribute)
    outputs += [("keep", 9), ("through", 9)]
    ports = "".join(f", output reg [{width - 1}:0] {name}" for name, width in outputs)
    text += """
  (* no_rw_check *) reg [8:0] both [0:2047];
  always @(posedge clk)
    if (wa_keep) both[ra] <= d[8:0]; else keep <= both[ra];
  always @(posedge clk)
    if (wa_through) begin both[wa] <= d[17:9]; through <= d[17:9]; end
    else through <= both[wa];
"""
    inputs = [("re", 1), ("ra", 14), ("wa", 14), ("d", 36), ("we", 4),
              ("wa_keep", 1), ("wa_through", 1)]  # fmt: skip
    given = "".join(f", input [{width - 1}:0] {name}" for name, width in inputs)
    found = [Port("clk", 1, "input"), *(Port(name, width, "input") for name, width in inputs)]
    found += [Port(name, width, "output") for name, width in outputs]
    return f"module top (input clk{given}{ports});\n{text}endmodule\n", tuple(found)


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("family", CELLS)
def test_memories(family, tmp_path):
    """Every word read is the one written, and one read while it is written where any will do is
    wrong.
    """
    shapes = {shape: n for shape, n in SHAPES.items() if shape[1] <= WIDEST[family]}
    text, ports = design(shapes)
    (tmp_path / "design.v").write_text(text)
    script = (
        f"read_verilog design.v\n{FAMILIES[family].flat} -top top\nwrite_verilog -noattr out.v\n"
    )
    run_script(tmp_path, script)
    netlist = (tmp_path / "out.v").read_text()
    assert all(f"  {name} #(" in netlist for name in CELLS[family])
    model = CompiledModel(with_cells(MODELS[family], netlist, "top", ports, "clk"))

    rng = np.random.default_rng(5)
    words = {shape: np.zeros(shape[0], object) for shape in shapes}
    both, kept, through = np.zeros(2048, object), 0, 0
    reads = dict.fromkeys(shapes, (0, True))
    collisions = 0
    # Few addresses, so that words are met again, and all bits of them.
    places = np.concatenate([[0, 16383], rng.integers(0, 16384, 10)])
    for _ in range(STEPS):
        ra, wa = (int(place) for place in rng.choice(places, 2))
        d, we, re = int(rng.integers(0, 1 << 36)), int(rng.integers(0, 16)), int(rng.random() < 0.8)
        keep, pass_on = int(rng.random() < 0.5), int(rng.random() < 0.5)
        if (ra - wa) % 2048 == 0:
            keep = pass_on = 0
        for port, value in (
            ("re", re), ("ra", ra), ("wa", wa), ("d", d), ("we", we), ("wa_keep", keep),
            ("wa_through", pass_on),
        ):  # fmt: skip
            model.poke(port, value)
        model.step()

        for shape, enables in shapes.items():
            depth, width = shape
            byte = width // enables
            mask = sum(
                ((1 << byte) - 1) << part * byte for part in range(enables) if we >> part & 1
            )
            if re:
                met = (ra - wa) % depth == 0 and mask != 0
                collisions += met
                reads[shape] = (words[shape][ra % depth], not met)
            words[shape][wa % depth] = words[shape][wa % depth] & ~mask | d & mask
            value, certain = reads[shape]
            assert model.peek(f"q_{depth}_{width}_old") == value, shape
            assert (model.peek(f"q_{depth}_{width}_any") == value) == certain, shape
        before = both[wa % 2048]
        if keep:
            both[ra % 2048] = d & 0x1FF
        else:
            kept = both[ra % 2048]
        if pass_on:
            both[wa % 2048] = d >> 9 & 0x1FF
            through = both[wa % 2048]
        else:
            through = before
        assert (model.peek("keep"), model.peek("through")) == (kept, through)
    assert collisions > 100


def start(family, text):
    CompiledModel(with_cells(MODELS[family], text, "top", (Port("clk", 1, "input"),), "clk")).step()


@pytest.mark.long(keep=1)
@pytest.mark.parametrize(
    ("family", "cell"),
    [
        ("gowin", "DPB #(.READ_MODE0(1)) ram (.CLKA(clk), .CLKB(clk));"),
        ("gowin", "DPX9B #(.BIT_WIDTH_0(9)) ram (.CLKA(clk), .CLKB(clk));"),
        ("gowin", "SDPX9B ram (.CLKA(clk), .CLKB(clk), .BLKSELB(3'd1));"),
        ("ecp5", "DP16KD #(.INITVAL_3F(1)) ram (.CLKA(clk), .CLKB(clk));"),
    ],
)
def test_beyond(family, cell, capfd):
    """What the models lack ends the simulation."""
    text = f"module top (input clk);\n  {cell}\nendmodule\n"
    process = multiprocessing.get_context("spawn").Process(target=start, args=(family, text))
    process.start()
    process.join()
    assert process.exitcode != 0
    assert "beyond its model" in capfd.readouterr().out
