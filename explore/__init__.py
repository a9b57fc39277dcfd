"""Weighing it: networks, arrays and protection by accuracy, failures, cost and time."""

import base.start  # noqa: F401 (before all that takes seconds)
