"""Readers of model files by the suffix of their names.

An importer is a function from a path to a :class:`Graph`, in a file of its own; it raises
HoldfastError, in one sentence, for a file that it cannot take.
"""

from collections.abc import Callable
from pathlib import Path

from holdfast.nn.graph.graph import Graph

IMPORTERS: dict[str, Callable[[Path], Graph]] = {".safetensors": Graph.load}


def load_graph(path: Path) -> Graph:
    """Reads a model file; one of an unknown suffix as Holdfast's own."""
    return IMPORTERS.get(path.suffix, Graph.load)(path)
