"""The units around the array, one component a file."""
