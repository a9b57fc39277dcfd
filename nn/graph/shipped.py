"""The networks that come with Holdfast."""

import os
from pathlib import Path

from holdfast.base.errors import HoldfastError
from holdfast.base.text import printable, shown
from holdfast.nn.importers.registry import IMPORTERS, load_graph

from .graph import Graph

_FOLDER = Path(__file__).parents[1] / "models"


def shipped() -> dict[str, Path]:
    """Returns the name and file of every shipped network."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.safetensors"))}


def network_file(name: str) -> Path:
    """Finds a shipped network by its name (``resnet8`` stands for ``resnet8_int8``), or a file.

    Raises
    ------
    HoldfastError
        There is neither.
    """
    known = shipped()
    path = known.get(name) or known.get(f"{name}_int8")
    if path is None and (name.endswith(tuple(IMPORTERS)) or "/" in name):
        path = Path(name)
        if not os.path.isfile(path):
            raise HoldfastError(f"there is no model file {printable(name, 200)}.")
    if path is None:
        raise HoldfastError(
            f"there is no network {shown(name)}; shipped are {', '.join(known) or 'none'}, "
            f"anything else is the path of a {' or '.join(IMPORTERS)} file."
        )
    return path


def load_network(name: str) -> Graph:
    """Reads the network of :func:`network_file`; the file has to be a whole model."""
    return load_graph(network_file(name))
