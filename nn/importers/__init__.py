"""Readers of model files: from a file of any kind to the integer graph."""
