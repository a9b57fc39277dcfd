"""Weighing it: networks, arrays and protection by accuracy, failures, cost and time."""

from holdfast.base import start  # noqa: F401 (before all that takes seconds)
