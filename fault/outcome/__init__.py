"""Says what a fault meant."""
