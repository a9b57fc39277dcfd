"""What can go wrong, and its name."""
