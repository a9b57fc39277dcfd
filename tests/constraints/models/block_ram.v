// What the models of block RAM have in common.
//
// The files beside this model the cells that Yosys knows only by their ports. They have only what
// Holdfast makes of the cells: symmetric widths, no output registers, no initial contents, no
// resets, one clock; a PLL passes its input on. They stop the simulation where a netlist asks for
// more. What Yosys leaves undefined, a word read while the other port writes it, comes back wrong
// in every bit that is written: a design that used it would fail.

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
