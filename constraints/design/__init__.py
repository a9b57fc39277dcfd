"""What surrounds the accelerator on a board."""
