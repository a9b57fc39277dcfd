"""The image."""

from dataclasses import dataclass

from .node import Node


@dataclass(kw_only=True)
class InputNode(Node):
    """The image."""

    op = "input"
    arity = 0
    stored = False
