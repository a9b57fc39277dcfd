"""Says what surrounds the accelerator on a board."""
