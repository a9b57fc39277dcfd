"""Verilog models of device cells that Yosys knows only by their ports: RAM, multipliers, PLLs.

Only what `constraints` makes of them: symmetric widths, no output registers, no initial contents,
no resets, one clock; a PLL passes its input on. The models stop the simulation where a netlist asks
for more. What Yosys leaves undefined, a word read while the other port writes it, comes back wrong
in every bit that is written: a design that used it would fail.
"""

__all__ = ["cell_models"]


def cell_models(family: str) -> str:
    """Models that complete Yosys's own for a family."""
    return {"ecp5": _ecp5, "ice40": _ice40, "gowin": _gowin}[family]()


_BLOCK_RAM = """
module block_ram (
  input clk_a, ce_a, we_a, clk_b, ce_b, we_b, other, input [13:0] ad_a, ad_b,
  input [35:0] di_a, di_b, output reg [35:0] do_a, do_b);
  parameter WIDTH = 36, BYTE = 9, MODE_A = 0, MODE_B = 0, BEYOND = 0;
  localparam KEEP = 0, NEW = 1, OLD = 2;
  localparam SHIFT = $clog2(WIDTH / BYTE * 8 + WIDTH % BYTE);
  reg [WIDTH - 1:0] memory [0:(16384 >> SHIFT) - 1];
  wire [13:0] at_a = ad_a >> SHIFT;
  wire [13:0] at_b = ad_b >> SHIFT;
  wire same = ce_a & ce_b & at_a == at_b;
  // The low bits of the address of a word of several bytes enable them.
  wire [WIDTH - 1:0] to_a = WIDTH < 2 * BYTE ? {WIDTH{1'b1}} :
    {{BYTE{ad_a[3]}}, {BYTE{ad_a[2]}}, {BYTE{ad_a[1]}}, {BYTE{ad_a[0]}}};
  wire [WIDTH - 1:0] to_b = WIDTH < 2 * BYTE ? {WIDTH{1'b1}} :
    {{BYTE{ad_b[3]}}, {BYTE{ad_b[2]}}, {BYTE{ad_b[1]}}, {BYTE{ad_b[0]}}};
  initial begin
    do_a = 0;
    do_b = 0;
    if (BEYOND) begin $display("block RAM beyond its model"); $stop; end
  end
  always @(posedge clk_a) begin
    if (other || same && we_a && we_b) begin
      $display("block RAM used beyond its model"); $stop;
    end
    if (ce_a) begin
      if (we_a) memory[at_a] <= memory[at_a] & ~to_a | di_a & to_a;
      if (!we_a) do_a <= memory[at_a] ^ ({WIDTH{same & we_b}} & to_b);
      else if (MODE_A == NEW) do_a <= memory[at_a] & ~to_a | di_a & to_a;
      else if (MODE_A == OLD) do_a <= memory[at_a];
    end
  end
  always @(posedge clk_b)
    if (ce_b) begin
      if (we_b) memory[at_b] <= memory[at_b] & ~to_b | di_b & to_b;
      if (!we_b) do_b <= memory[at_b] ^ ({WIDTH{same & we_a}} & to_a);
      else if (MODE_B == NEW) do_b <= memory[at_b] & ~to_b | di_b & to_b;
      else if (MODE_B == OLD) do_b <= memory[at_b];
    end
endmodule
"""


def _bits(name: str, width: int) -> str:
    """Names of the single bits of a port, the highest first."""
    return ", ".join(f"{name}{bit}" for bit in reversed(range(width)))


def _inits(name: str, count: int, width: int) -> tuple[str, str]:
    """Parameters of the initial contents, and all of them in one expression."""
    names = [f"{name}_{index:02X}" for index in range(count)]
    text = "".join(f"  parameter [{width - 1}:0] {name} = 0;\n" for name in names)
    return text, f"{{{', '.join(names)}}} != 0"


def _ecp5() -> str:
    ports, parameters, wires, connections = [], "", "", []
    other, beyond = [], ["DATA_WIDTH_A > 18", "DATA_WIDTH_A != DATA_WIDTH_B"]
    for side, low in (("A", "a"), ("B", "b")):
        data, address = _bits(f"DI{side}", 18), _bits(f"AD{side}", 14)
        selects = _bits(f"CS{side}", 3)
        names = [f"{name}{side}" for name in ("CE", "OCE", "CLK", "WE", "RST")]
        ports.append(f"  input {data}, {address}, {selects}, {', '.join(names)}")
        ports.append(f"  output {_bits(f'DO{side}', 18)}")
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
            f"  assign {{{_bits(f'DO{side}', 18)}}} = do_{low}[17:0];\n"
            f'  localparam MODE_{side} = WRITEMODE_{side} == "NORMAL" ? 0 :\n'
            f'    WRITEMODE_{side} == "WRITETHROUGH" ? 1 : 2;\n'
        )
        connections += [
            f".clk_{low}(CLK{side}), .ce_{low}(CE{side}), .we_{low}(WE{side})",
            f".ad_{low}({{{address}}}), .di_{low}({{{data}}}), .do_{low}(do_{low})",
        ]
    inits, initial = _inits("INITVAL", 64, 320)
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
  input {_bits("A", 18)}, {_bits("B", 18)}, {_bits("C", 18)}, SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
  output {_bits("P", 36)});
  wire [17:0] a = {{{_bits("A", 18)}}};
  wire [17:0] b = {{{_bits("B", 18)}}};
  assign {{{_bits("P", 36)}}} = {{{{18{{SIGNEDA & a[17]}}}}, a}} * {{{{18{{SIGNEDB & b[17]}}}}, b}};
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
    return _BLOCK_RAM + memory + multiplier + pll


def _ice40() -> str:
    return """
module SB_PLL40_2F_PAD (
  input PACKAGEPIN, RESETB, BYPASS, output PLLOUTGLOBALA, PLLOUTGLOBALB, LOCK);
  parameter FEEDBACK_PATH = "SIMPLE", DIVR = 0, DIVF = 0, DIVQ = 0, FILTER_RANGE = 0;
  parameter PLLOUT_SELECT_PORTA = "GENCLK", PLLOUT_SELECT_PORTB = "GENCLK";
  reg half = 0;
  always @(posedge PACKAGEPIN) half <= ~half;
  assign PLLOUTGLOBALA = PACKAGEPIN;
  assign PLLOUTGLOBALB = half;
  assign LOCK = 1;
endmodule
"""


def _gowin() -> str:
    text = _BLOCK_RAM
    for name, width, byte in (("SDPB", 32, 8), ("SDPX9B", 36, 9)):
        inits, initial = _inits("INIT_RAM", 64, 32 * byte)
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
        inits, initial = _inits("INIT_RAM", 64, 32 * byte)
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
