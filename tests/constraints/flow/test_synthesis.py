"""Known cells of a small design."""

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.constraints.families.base import Cost
from holdfast.constraints.flow.synthesis import synthesize

DESIGN = r"""
module \top.mul_0 (input clk, input signed [7:0] a, b, output reg signed [15:0] p);
  always @(posedge clk) p <= a * b;
endmodule
module \top.mul_1 (input clk, input signed [7:0] a, b, output reg signed [15:0] p);
  always @(posedge clk) p <= a * b;
endmodule
module top (input clk, input [7:0] a, b, c, output [15:0] p, q, output reg y);
  \top.mul_0 mul_0 (.clk(clk), .a(a), .b(b), .p(p));
  \top.mul_1 mul_1 (.clk(clk), .a(a), .b(c), .p(q));
  always @(posedge clk) y <= a[0] ^ b[0] ^ c[0] ^ c[1];
endmodule
"""


@pytest.mark.long(keep=1)
@pytest.mark.parametrize(
    ("family", "registers"), [("ecp5", 16), ("xc7", 0), ("xcup", 16), ("ice40", 0)]
)
def test_costs(family, registers, tmp_path):
    """A parity of four bits, and two products whose registers go into some families' blocks."""
    found = synthesize(DESIGN, "top", family, tmp_path, hierarchy=True)
    assert found.total == Cost(lut=1, ff=1 + 2 * registers, dsp=2)
    assert found.units == {"": Cost(lut=1, ff=1), "mul": Cost(ff=2 * registers, dsp=2)}
    assert found.multiplying == {"mul": 2}


def test_carries_and_memories(tmp_path):
    design = """
    module top (input clk, input [9:0] address, input [7:0] a, b, output reg [7:0] s, m);
      reg [7:0] memory [1023:0];
      always @(posedge clk) begin
        s <= a + b;
        if (a[0]) memory[address] <= b;
        m <= memory[address];
      end
    endmodule
    """
    found = synthesize(design, "top", "ecp5", tmp_path)
    # Eight bits of sum in four carry cells of two look-up tables; 8 kbit in one block of 18.
    assert (found.total.lut, found.total.mem) == (8, 1)
    assert found.units == {}


def test_bad_requests(tmp_path):
    with pytest.raises(HoldfastError, match="unknown FPGA family 'ecp6'; known are ecp5, xc7"):
        synthesize(DESIGN, "top", "ecp6", tmp_path)
    with pytest.raises(HoldfastError, match=r"synthesis failed; .*synthesis.log says why\."):
        synthesize("module top; endmodul", "top", "ecp5", tmp_path)
