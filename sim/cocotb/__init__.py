"""cocotb testbenches and their builds."""
