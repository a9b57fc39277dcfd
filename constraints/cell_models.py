"""Verilog models of device cells that Yosys knows only by their ports: RAM, multipliers, PLLs.

Only what `constraints` makes of them: symmetric widths, no output registers, no initial contents,
one clock; a PLL passes its input on. The models stop the simulation where a netlist asks for more.
"""

__all__ = ["cell_models"]


def cell_models(family: str) -> str:
    """Models that complete Yosys's own for a family."""
    return {"ecp5": _ecp5, "ice40": _ice40, "gowin": _gowin}[family]()


def _bits(name: str, width: int) -> str:
    """Names of the single bits of a port, the highest first."""
    return ", ".join(f"{name}{bit}" for bit in reversed(range(width)))


def _inits(name: str, count: int, width: int) -> str:
    return "".join(
        f"  parameter [{width - 1}:0] {name}_{index:02X} = 0;\n" for index in range(count)
    )


def _ecp5() -> str:
    ports, muxes = [], []
    for side in "AB":
        inputs = f"{_bits(f'DI{side}', 18)}, {_bits(f'AD{side}', 14)}, {_bits(f'CS{side}', 3)}"
        ports.append(f"  input {inputs}, CE{side}, OCE{side}, CLK{side}, WE{side}, RST{side}")
        ports.append(f"  output {_bits(f'DO{side}', 18)}")
        names = [f"CE{side}", f"OCE{side}", f"CLK{side}", f"WE{side}", f"RST{side}"]
        muxes += [f'  parameter {name}MUX = "{name}";\n' for name in names]
    port = """
  wire [13:0] ad{s} = {{{ad}}};
  wire [17:0] di{s} = {{{di}}};
  wire [13:0] word{s} = ad{s} >> SHIFT;
  reg [17:0] do{s} = 0;
  assign {{{do}}} = do{s};
  always @(posedge CLK{s})
    if (CE{s} & ~|{{{cs}}}) begin
      if (WE{s}) begin
        if (DATA_WIDTH_A < 18 || ad{s}[0]) memory[word{s}][8:0] <= di{s}[8:0];
        if (DATA_WIDTH_A < 18 || ad{s}[1]) memory[word{s}][17:9] <= di{s}[17:9];
      end
      if (RST{s}) do{s} <= 0;
      else if (!WE{s} || WRITEMODE_{s} == "READBEFOREWRITE") do{s} <= memory[word{s}];
    end
"""
    memory = (
        "module DP16KD (\n" + ",\n".join(ports) + ");\n"
        "  parameter DATA_WIDTH_A = 18;\n  parameter DATA_WIDTH_B = 18;\n"
        '  parameter REGMODE_A = "NOREG";\n  parameter REGMODE_B = "NOREG";\n'
        '  parameter RESETMODE = "SYNC";\n  parameter ASYNC_RESET_RELEASE = "SYNC";\n'
        '  parameter CSDECODE_A = "0b000";\n  parameter CSDECODE_B = "0b000";\n'
        '  parameter WRITEMODE_A = "NORMAL";\n  parameter WRITEMODE_B = "NORMAL";\n'
        '  parameter GSR = "ENABLED";\n  parameter INIT_DATA = "STATIC";\n'
        + "".join(muxes)
        + _inits("INITVAL", 64, 320)
        + "  localparam SHIFT = DATA_WIDTH_A == 18 ? 4 : DATA_WIDTH_A == 9 ? 3 :\n"
        "                     DATA_WIDTH_A == 4 ? 2 : DATA_WIDTH_A == 2 ? 1 : 0;\n"
        "  reg [17:0] memory [0:(16384 >> SHIFT) - 1];\n"
        "  initial begin\n"
        '    if (DATA_WIDTH_A != DATA_WIDTH_B || REGMODE_A != "NOREG" || REGMODE_B != "NOREG")\n'
        '      begin $display("DP16KD beyond its model"); $stop; end\n'
        "  end\n"
        + "".join(
            port.format(
                s=side, ad=_bits(f"AD{side}", 14), di=_bits(f"DI{side}", 18),
                do=_bits(f"DO{side}", 18), cs=_bits(f"CS{side}", 3),
            )
            for side in "AB"
        )
        + "endmodule\n"
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
    return memory + multiplier + pll


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
    text = ""
    for name, width, word, per_byte in (("SDPB", 32, 32, 8), ("SDPX9B", 36, 36, 9)):
        text += f"""
module {name} (
  input CLKA, CEA, CLKB, CEB, OCE, RESETA, RESETB, input [13:0] ADA, ADB,
  input [{width - 1}:0] DI, input [2:0] BLKSELA, BLKSELB, output reg [{width - 1}:0] DO);
  parameter READ_MODE = 0, BIT_WIDTH_0 = {width}, BIT_WIDTH_1 = {width};
  parameter BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC";
{_inits("INIT_RAM", 64, 256 if per_byte == 8 else 288)}
  localparam SHIFT = $clog2(BIT_WIDTH_0 / {per_byte} * 8 + BIT_WIDTH_0 % {per_byte});
  reg [{word - 1}:0] memory [0:(16384 >> SHIFT) - 1];
  wire [13:0] to = ADA >> SHIFT;
  wire [13:0] from = ADB >> SHIFT;
  initial begin
    DO = 0;
    if (BIT_WIDTH_0 != BIT_WIDTH_1 || READ_MODE != 0) begin
      $display("{name} beyond its model"); $stop;
    end
  end
  integer byte;
  always @(posedge CLKA)
    if (CEA)
      for (byte = 0; byte < 4; byte = byte + 1)
        if (BIT_WIDTH_0 < {2 * per_byte} || (byte < BIT_WIDTH_0 / {per_byte} && ADA[byte]))
          memory[to][byte * {per_byte} +: {per_byte}] <= DI[byte * {per_byte} +: {per_byte}];
  always @(posedge CLKB)
    if (CEB) DO <= RESETB ? 0 : memory[from];
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
