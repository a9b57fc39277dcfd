"""Says what points are weighed by, one objective a file."""
