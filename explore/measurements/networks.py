"""Networks of a study, and their golden models under a guard setting."""

from functools import cache
from pathlib import Path

from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.graph import Graph
from holdfast.nn.graph.guard_modes import GUARDS
from holdfast.nn.graph.shipped import network_file
from holdfast.nn.importers.registry import load_graph

__all__ = ["file_of", "golden", "load"]


def file_of(name: str) -> Path:
    """The file of a shipped network's name, or of a path.

    Raises
    ------
    HoldfastError
        There is neither, or it is not a whole model.
    """
    load(path := network_file(name))
    return path


@cache
def load(path: Path) -> Graph:
    """The graph in a file."""
    return load_graph(path)


def golden(graph: Graph, guard: str) -> Golden:
    """The golden model under a guard setting of `nn.graph.guard_modes.GUARDS`."""
    return GUARDS[guard].golden(graph)
