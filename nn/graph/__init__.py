"""The integer graph, its file and the golden model."""
