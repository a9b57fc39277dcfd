"""Networks as lists of layers, and their float modules."""
