"""What the hardware is: configuration, Amaranth units, descriptors, Verilog emission."""
