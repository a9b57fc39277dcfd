"""The error that every room raises for a mistake of the user."""

__all__ = ["HoldfastError"]


class HoldfastError(Exception):
    """A mistake of the user, told in one sentence; commands print it and exit with 2."""
