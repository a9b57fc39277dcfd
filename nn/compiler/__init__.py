"""From an integer graph to the accelerator's program."""
