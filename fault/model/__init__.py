"""Says what can go wrong, and its name."""
