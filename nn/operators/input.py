"""The image."""

from dataclasses import dataclass

from .node import Node


@dataclass(kw_only=True)
class InputNode(Node):
    """Stands for the image."""

    op = "input"
    arity = 0
    stored = False
