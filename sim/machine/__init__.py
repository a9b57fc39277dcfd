"""Says what the hardware does in each cycle, from the program alone."""
