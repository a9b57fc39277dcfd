"""Networks of a study, and their golden models under a guard setting."""

from functools import cache
from pathlib import Path

from nn.golden import Golden
from nn.graph import Graph
from nn.guard_settings import GUARDS
from nn.shipped import load_network, shipped

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
    """The golden model under a guard setting of `nn.guard_settings.GUARDS`."""
    return GUARDS[guard].golden(graph)
