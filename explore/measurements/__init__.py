"""Says what is measured of a point, one kind a file."""
