// A user's own simulation of a released file: a host that follows a script, and nothing else.
// TOP names the module. Without LATE, reset is high from time 0; with it, reset and every
// other input are X for 20 cycles before.
`timescale 1ns / 1ps

module icarus_bench;
  localparam WRITE = 0, CHECK = 1, AWAIT_IDLE = 2, SHOW = 3, END = 4;
  localparam LIMIT = 100000;

  reg clk = 0;
  always #5 clk = ~clk;

`ifdef LATE
  reg rst;
`else
  reg rst = 1;
`endif
  reg [24:0] awaddr, araddr;
  reg [31:0] wdata;
  reg awvalid, wvalid, arvalid, bready, rready;
  wire awready, wready, bvalid, arready, rvalid, interrupt;
  wire [31:0] rdata;
  wire [1:0] bresp, rresp;

  `TOP dut (
    .clk(clk), .rst(rst), .interrupt(interrupt),
    .s_axi_awid(4'd0), .s_axi_awaddr(awaddr), .s_axi_awlen(8'd0), .s_axi_awsize(3'd2),
    .s_axi_awburst(2'd1), .s_axi_awvalid(awvalid), .s_axi_awready(awready),
    .s_axi_wdata(wdata), .s_axi_wstrb(4'd15), .s_axi_wlast(1'b1), .s_axi_wvalid(wvalid),
    .s_axi_wready(wready), .s_axi_bresp(bresp), .s_axi_bvalid(bvalid), .s_axi_bready(bready),
    .s_axi_arid(4'd0), .s_axi_araddr(araddr), .s_axi_arlen(8'd0), .s_axi_arsize(3'd2),
    .s_axi_arburst(2'd1), .s_axi_arvalid(arvalid), .s_axi_arready(arready),
    .s_axi_rdata(rdata), .s_axi_rresp(rresp), .s_axi_rvalid(rvalid), .s_axi_rready(rready)
  );

  // {kind, address, data}
  reg [63:0] script [0:`LENGTH-1];
  reg [63:0] line;
  reg [31:0] value;
  integer place, polls;

  task stop(input [8*20:1] why);
    begin
      $display("FAILED %0s, line %0d: address %h, value %h", why, place, line[59:32], value);
      $finish;
    end
  endtask

  task put(input [24:0] address, input [31:0] word);
    begin
      awaddr <= address;
      awvalid <= 1;
      @(posedge clk) while (awready !== 1) @(posedge clk);
      awvalid <= 0;
      wdata <= word;
      wvalid <= 1;
      @(posedge clk) while (wready !== 1) @(posedge clk);
      wvalid <= 0;
      @(posedge clk) while (bvalid !== 1) @(posedge clk);
      value = word;
      if (bresp !== 0) stop("refused write");
    end
  endtask

  task get(input [24:0] address);
    begin
      araddr <= address;
      arvalid <= 1;
      @(posedge clk) while (arready !== 1) @(posedge clk);
      arvalid <= 0;
      @(posedge clk) while (rvalid !== 1) @(posedge clk);
      value = rdata;
      if (rresp !== 0) stop("refused read");
    end
  endtask

  initial begin
    $readmemh("script.hex", script);
`ifdef LATE
    repeat (20) @(posedge clk);
    rst <= 1;
`endif
    // The one cycle of reset that the documents ask for; inputs are X until it is over.
    @(posedge clk);
    rst <= 0;
    {awvalid, wvalid, arvalid} <= 0;
    {bready, rready} <= 3;
    for (place = 0; script[place][63:60] !== END; place = place + 1) begin
      line = script[place];
      case (line[63:60])
        WRITE: put(line[56:32], line[31:0]);
        CHECK: begin
          get(line[56:32]);
          if (value !== line[31:0]) stop("wrong value");
        end
        AWAIT_IDLE: begin
          get(line[56:32]);
          for (polls = 0; value[0] !== 0 && polls < LIMIT; polls = polls + 1) get(line[56:32]);
          if (value[0] !== 0) stop("still busy");
        end
        SHOW: begin
          get(line[56:32]);
          $display("%h", value);
        end
        default: stop("no such line");
      endcase
    end
    $display("END %b", interrupt);
    $finish;
  end

  initial begin
    #(10 * 10 * LIMIT) value = 0;
    stop("too long");
  end
endmodule
