"""Putting it on a board: synthesis through edalize, and what a design costs."""

import base.start  # noqa: F401 (before all that takes seconds)
