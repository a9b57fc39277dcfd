"""The weight-stationary array and what feeds it."""
