// iCE40 UltraPlus.

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
