"""Running it: tools, netlists, Verilator builds, cocotb testbenches and the compiled engine."""
