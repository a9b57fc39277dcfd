"""Putting it on a board: families, synthesis, bitstreams, and what a design costs."""

from holdfast.base import start  # noqa: F401 (before all that takes seconds)
