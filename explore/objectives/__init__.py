"""What points are weighed by, one objective a file."""
