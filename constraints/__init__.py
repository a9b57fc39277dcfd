"""Putting it on a board: synthesis through edalize, and what a design costs."""

from holdfast.base import start  # noqa: F401 (before all that takes seconds)
