"""The flattened netlist and its state."""
