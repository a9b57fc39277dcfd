"""Networks of a study."""

from functools import cache
from pathlib import Path

from holdfast.nn.graph.graph import Graph
from holdfast.nn.importers.registry import load_graph


@cache
def load(path: Path) -> Graph:
    """Returns the graph in a file."""
    return load_graph(path)
