"""Weighing it: networks, arrays and protection by accuracy, failures, cost and time."""
