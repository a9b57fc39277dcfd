"""A made-up FPGA family, in this file alone, goes through costs, top level, tools and studies."""

import dataclasses

import pytest
from amaranth.hdl import Instance

from holdfast.base.errors import HoldfastError
from holdfast.constraints.boards import find_board
from holdfast.constraints.design.top import board_rtlil
from holdfast.constraints.families.base import Cells, Cost, PllLimits
from holdfast.constraints.families.nextpnr import NextpnrFamily, Program
from holdfast.constraints.families.registry import FAMILIES
from holdfast.constraints.flow import bitstream, eda_tools
from holdfast.constraints.flow.bitstream import Synthesized, synthesize_board
from holdfast.constraints.flow.place_flow import NETLIST, PlaceFlow
from holdfast.constraints.flow.synthesis import synthesize
from holdfast.explore.study import Study
from holdfast.gen.config import AcceleratorConfig
from tests.constraints.design.gate_level import MODELS, CellModels, gate_netlist

SMALL = AcceleratorConfig(
    rows=1, cols=1, act_depth=64, weight_depth=64, acc_depth=16, param_depth=16, program_depth=4
)


class Heath(NextpnrFamily):
    """Has the ECP5's cells, but its look-up tables count double, and a PLL of its own."""

    name = "heath"
    flat = "synth_ecp5 -noccu2"
    hierarchical = "synth_ecp5 -noflatten -run begin:map_luts"
    mapping = "abc -luts 2:3,6:5,10,20; techmap -map +/lattice/cells_map_trellis.v; clean"
    cells = Cells({"LUT4": 2}, ("TRELLIS_FF",), {"MULT18X18D": 3}, {"DP16KD": 1})
    limits = PllLimits((1, 100), (100, 800), range(1, 9), range(1, 65), (1, 2, 4), True)
    arch = "ecp5"
    placer = Program("nextpnr-ecp5", "heath-place", "heath-tools")
    packer = Program("ecppack", "heath-pack", "heath-tools")
    packer_tool = "ecppack"
    pins = "LPF"
    placed = "config"
    bitstream = "heath"

    def options(self, board, time_first):
        return ["--moor", board.part]

    def pack_settings(self, board):
        return {"ecppack_options": ["--peat"]}

    def pll(self, board, ports):
        found = self.dividers(board.clock_mhz, board.core_mhz)
        return Instance(
            "HEATH_PLL", p_UP=found.multiply, i_I=ports.source, o_O=ports.clock, o_L=ports.locked
        )


@pytest.fixture
def board(monkeypatch):
    for name in [*FAMILIES]:
        monkeypatch.delitem(FAMILIES, name)
    monkeypatch.setitem(FAMILIES, "heath", Heath())
    return dataclasses.replace(find_board("ulx3s"), family="heath", part="H-1")


def test_costs(board, tmp_path):
    """A parity of four bits is one table, which counts double; a product is one block of three."""
    design = """
    module top (input clk, input [7:0] a, b, output reg y, output [15:0] p);
      always @(posedge clk) y <= a[0] ^ a[1] ^ b[0] ^ b[1];
      assign p = a * b;
    endmodule
    """
    found = synthesize(design, "top", "heath", tmp_path, hierarchy=True)
    assert found.total == found.units[""] == Cost(lut=2, ff=1, dsp=3)


def test_top_level(board):
    """25 MHz become 80: 32 periods of 5 MHz make 160, divided by two."""
    text = board_rtlil(board, SMALL)
    assert "cell \\HEATH_PLL" in text and "parameter \\UP 32" in text
    with pytest.raises(HoldfastError, match="the PLL of the heath family cannot make 81 MHz of 25"):
        FAMILIES["heath"].dividers(25, 81)


def test_synthesis_of_a_board(board, tmp_path, monkeypatch):
    def run(folder, script, yosys):
        (folder / "script").write_text(script)
        (folder / "statistics.json").write_text(
            '{"modules": {"\\\\holdfast_top": {"num_cells_by_type": {"LUT4": 7, "CCU2C": 5}}}}'
        )
        for name in (NETLIST, "netlist.v"):
            (folder / name).write_text("")

    monkeypatch.setattr(bitstream, "run_script", run)
    made = synthesize_board(board, SMALL, tmp_path, lambda _: None)
    assert made.cost == Cost(lut=14)
    assert "synth_ecp5 -noccu2 -top holdfast_top -run coarse:" in (
        made.folder / "script"
    ).read_text(encoding="utf-8")


def test_placer_and_packer(board, tmp_path, monkeypatch):
    """The flow's command lines are the family's: programs, options, names of what is made."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("heath-place", "heath-pack"):
        (tools / name).touch(0o755)
    monkeypatch.setattr(eda_tools, "SEARCH_PATH", str(tools))
    for name in (NETLIST, board.pin_file.name):
        (tmp_path / name).write_text("{}")
    flow = PlaceFlow.make(board, tmp_path, seed=4)
    assert (flow.placed, flow.bitstream) == ("top.config", "top.heath")
    assert PlaceFlow.programs(board) == ["nextpnr-ecp5", "ecppack"]
    place, pack = (
        next(
            line.split()
            for line in (tmp_path / "Makefile").read_text(encoding="utf-8").splitlines()
            if line.startswith(f"\t$(EDALIZE_LAUNCHER) {name}")
        )
        for name in ("heath-place", "heath-pack")
    )
    assert " ".join(place).count("--seed 4 --freq 80") == 1
    assert place[place.index("--moor") + 1] == "H-1"
    assert "--peat" in pack
    (tools / "heath-pack").unlink()
    with pytest.raises(HoldfastError, match=r"ecppack is missing; .* install heath-tools`"):
        eda_tools.program("ecppack")


def test_cells_in_simulation(board, tmp_path, monkeypatch):
    """The simulated netlist has the family's model beside Yosys's."""
    own = "module HEATH_PLL (input I, output O, L);\nassign O = I, L = 1;\nendmodule\n"
    monkeypatch.setitem(MODELS, "heath", CellModels(("ecp5/cells_sim.v", "lattice"), own))
    (tmp_path / "netlist.v").write_text("module holdfast_top; endmodule\n")
    text = gate_netlist(board, Synthesized(tmp_path, Cost(), {})).verilog
    assert "module HEATH_PLL" in text and "module TRELLIS_FF" in text


def test_studies_know_it(board):
    assert Study(targets=("heath",)).targets == ("heath",)
    with pytest.raises(HoldfastError, match="targets has an unknown 'ecp5'; known are heath"):
        Study(targets=("ecp5",))
