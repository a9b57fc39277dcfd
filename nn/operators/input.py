"""The image."""

from dataclasses import dataclass

from .node import Node

__all__ = ["InputNode"]


@dataclass(kw_only=True)
class InputNode(Node):
    """The image."""

    op = "input"
    arity = 0
    stored = False
