"""Networks of a study, and their golden models under a guard setting."""

from functools import cache
from pathlib import Path

from holdfast.nn.graph.golden import Golden
from holdfast.nn.graph.graph import Graph
from holdfast.nn.graph.guard_modes import GUARDS
from holdfast.nn.graph.shipped import load_network, shipped

__all__ = ["file_of", "golden", "load"]


def file_of(name: str) -> Path:
    """The file of a shipped network's name, or of a path.

    Raises
    ------
    HoldfastError
        There is neither, or it is not a whole model.
    """
    known = shipped()
    path = known.get(name) or known.get(f"{name}_int8") or Path(name)
    load_network(name)
    return path


@cache
def load(path: Path) -> Graph:
    """The graph in a file."""
    return Graph.load(path)


def golden(graph: Graph, guard: str) -> Golden:
    """The golden model under a guard setting of `nn.graph.guard_modes.GUARDS`."""
    return GUARDS[guard].golden(graph)
