"""What a fault meant."""
