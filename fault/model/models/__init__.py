"""Fault models: one file for each, listed in `fault.model.registry`."""
