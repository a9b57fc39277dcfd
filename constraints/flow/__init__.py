"""From a design to a bitstream: tools and their flows."""
