// Gowin GW2A.

// Initial contents, which the models do not have.
`define INIT_RAM(LAST) parameter [LAST:0] \
    INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0, \
    INIT_RAM_05 = 0, INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0, \
    INIT_RAM_0A = 0, INIT_RAM_0B = 0, INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0, \
    INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0, INIT_RAM_12 = 0, INIT_RAM_13 = 0, \
    INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0, INIT_RAM_18 = 0, \
    INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0, \
    INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0, \
    INIT_RAM_23 = 0, INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0, \
    INIT_RAM_28 = 0, INIT_RAM_29 = 0, INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0, \
    INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0, INIT_RAM_30 = 0, INIT_RAM_31 = 0, \
    INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0, INIT_RAM_36 = 0, \
    INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0, \
    INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0;
`define INITIAL { \
    INIT_RAM_00, INIT_RAM_01, INIT_RAM_02, INIT_RAM_03, INIT_RAM_04, INIT_RAM_05, \
    INIT_RAM_06, INIT_RAM_07, INIT_RAM_08, INIT_RAM_09, INIT_RAM_0A, INIT_RAM_0B, \
    INIT_RAM_0C, INIT_RAM_0D, INIT_RAM_0E, INIT_RAM_0F, INIT_RAM_10, INIT_RAM_11, \
    INIT_RAM_12, INIT_RAM_13, INIT_RAM_14, INIT_RAM_15, INIT_RAM_16, INIT_RAM_17, \
    INIT_RAM_18, INIT_RAM_19, INIT_RAM_1A, INIT_RAM_1B, INIT_RAM_1C, INIT_RAM_1D, \
    INIT_RAM_1E, INIT_RAM_1F, INIT_RAM_20, INIT_RAM_21, INIT_RAM_22, INIT_RAM_23, \
    INIT_RAM_24, INIT_RAM_25, INIT_RAM_26, INIT_RAM_27, INIT_RAM_28, INIT_RAM_29, \
    INIT_RAM_2A, INIT_RAM_2B, INIT_RAM_2C, INIT_RAM_2D, INIT_RAM_2E, INIT_RAM_2F, \
    INIT_RAM_30, INIT_RAM_31, INIT_RAM_32, INIT_RAM_33, INIT_RAM_34, INIT_RAM_35, \
    INIT_RAM_36, INIT_RAM_37, INIT_RAM_38, INIT_RAM_39, INIT_RAM_3A, INIT_RAM_3B, \
    INIT_RAM_3C, INIT_RAM_3D, INIT_RAM_3E, INIT_RAM_3F}

module SDPB (
  input CLKA, CEA, CLKB, CEB, OCE, RESETA, RESETB, input [13:0] ADA, ADB,
  input [31:0] DI, input [2:0] BLKSELA, BLKSELB, output [31:0] DO);
  parameter READ_MODE = 0, BIT_WIDTH_0 = 32, BIT_WIDTH_1 = 32;
  parameter BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC";
  `INIT_RAM(255)

  wire [35:0] do_b;
  assign DO = do_b[31:0];
  block_ram #(.WIDTH(BIT_WIDTH_0), .BYTE(8),
    .BEYOND(BIT_WIDTH_0 != BIT_WIDTH_1 || READ_MODE != 0 || `INITIAL != 0)) ram (
    .clk_a(CLKA), .ce_a(CEA), .we_a(1'b1), .ad_a(ADA), .di_a(DI),
    .clk_b(CLKB), .ce_b(CEB), .we_b(1'b0), .ad_b(ADB), .do_b(do_b),
    .other(RESETA || RESETB || BLKSELA != BLK_SEL_0 || BLKSELB != BLK_SEL_1));
endmodule

module SDPX9B (
  input CLKA, CEA, CLKB, CEB, OCE, RESETA, RESETB, input [13:0] ADA, ADB,
  input [35:0] DI, input [2:0] BLKSELA, BLKSELB, output [35:0] DO);
  parameter READ_MODE = 0, BIT_WIDTH_0 = 36, BIT_WIDTH_1 = 36;
  parameter BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC";
  `INIT_RAM(287)

  wire [35:0] do_b;
  assign DO = do_b[35:0];
  block_ram #(.WIDTH(BIT_WIDTH_0), .BYTE(9),
    .BEYOND(BIT_WIDTH_0 != BIT_WIDTH_1 || READ_MODE != 0 || `INITIAL != 0)) ram (
    .clk_a(CLKA), .ce_a(CEA), .we_a(1'b1), .ad_a(ADA), .di_a(DI),
    .clk_b(CLKB), .ce_b(CEB), .we_b(1'b0), .ad_b(ADB), .do_b(do_b),
    .other(RESETA || RESETB || BLKSELA != BLK_SEL_0 || BLKSELB != BLK_SEL_1));
endmodule

module DPB (
  input CLKA, CEA, OCEA, WREA, RESETA, CLKB, CEB, OCEB, WREB, RESETB, input [13:0] ADA, ADB,
  input [15:0] DIA, DIB, input [2:0] BLKSELA, BLKSELB, output [15:0] DOA, DOB);
  parameter READ_MODE0 = 0, READ_MODE1 = 0, WRITE_MODE0 = 0, WRITE_MODE1 = 0;
  parameter BIT_WIDTH_0 = 16, BIT_WIDTH_1 = 16;
  parameter BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC";
  `INIT_RAM(255)

  wire [35:0] do_a, do_b;
  assign DOA = do_a[15:0];
  assign DOB = do_b[15:0];
  block_ram #(.WIDTH(BIT_WIDTH_0), .BYTE(8), .MODE_A(WRITE_MODE0), .MODE_B(WRITE_MODE1),
    .BEYOND(BIT_WIDTH_0 != BIT_WIDTH_1 || READ_MODE0 != 0 || READ_MODE1 != 0 ||
            WRITE_MODE0 > 1 || WRITE_MODE1 > 1 || `INITIAL != 0)) ram (
    .clk_a(CLKA), .ce_a(CEA), .we_a(WREA), .ad_a(ADA), .di_a(DIA), .do_a(do_a),
    .clk_b(CLKB), .ce_b(CEB), .we_b(WREB), .ad_b(ADB), .di_b(DIB), .do_b(do_b),
    .other(RESETA || RESETB || BLKSELA != BLK_SEL_0 || BLKSELB != BLK_SEL_1));
endmodule

module DPX9B (
  input CLKA, CEA, OCEA, WREA, RESETA, CLKB, CEB, OCEB, WREB, RESETB, input [13:0] ADA, ADB,
  input [17:0] DIA, DIB, input [2:0] BLKSELA, BLKSELB, output [17:0] DOA, DOB);
  parameter READ_MODE0 = 0, READ_MODE1 = 0, WRITE_MODE0 = 0, WRITE_MODE1 = 0;
  parameter BIT_WIDTH_0 = 18, BIT_WIDTH_1 = 18;
  parameter BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC";
  `INIT_RAM(287)

  wire [35:0] do_a, do_b;
  assign DOA = do_a[17:0];
  assign DOB = do_b[17:0];
  block_ram #(.WIDTH(BIT_WIDTH_0), .BYTE(9), .MODE_A(WRITE_MODE0), .MODE_B(WRITE_MODE1),
    .BEYOND(BIT_WIDTH_0 != BIT_WIDTH_1 || READ_MODE0 != 0 || READ_MODE1 != 0 ||
            WRITE_MODE0 > 1 || WRITE_MODE1 > 1 || `INITIAL != 0)) ram (
    .clk_a(CLKA), .ce_a(CEA), .we_a(WREA), .ad_a(ADA), .di_a(DIA), .do_a(do_a),
    .clk_b(CLKB), .ce_b(CEB), .we_b(WREB), .ad_b(ADB), .di_b(DIB), .do_b(do_b),
    .other(RESETA || RESETB || BLKSELA != BLK_SEL_0 || BLKSELB != BLK_SEL_1));
endmodule

module MULT9X9 (
  input [8:0] A, B, SIA, SIB, input ASIGN, BSIGN, CE, CLK, RESET, ASEL, BSEL,
  output [17:0] DOUT);
  assign DOUT = {{9{ASIGN & A[8]}}, A} *
                {{9{BSIGN & B[8]}}, B};
endmodule

module MULT18X18 (
  input [17:0] A, B, SIA, SIB, input ASIGN, BSIGN, CE, CLK, RESET, ASEL, BSEL,
  output [35:0] DOUT);
  assign DOUT = {{18{ASIGN & A[17]}}, A} *
                {{18{BSIGN & B[17]}}, B};
endmodule

module MULT36X36 (
  input [35:0] A, B, input ASIGN, BSIGN, CE, CLK, RESET,
  output [71:0] DOUT);
  assign DOUT = {{36{ASIGN & A[35]}}, A} *
                {{36{BSIGN & B[35]}}, B};
endmodule

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
