"""The networks that come with Holdfast."""

import os
from pathlib import Path

from holdfast.base.errors import HoldfastError
from holdfast.base.text import printable, shown

from .graph import Graph

__all__ = ["load_network", "shipped"]

_FOLDER = Path(__file__).parents[1] / "models"


def shipped() -> dict[str, Path]:
    """Name and file of every shipped network."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.safetensors"))}


def load_network(name: str) -> Graph:
    """A shipped network by its name (``resnet8`` stands for ``resnet8_int8``), or a model file.

    Raises
    ------
    HoldfastError
        There is neither, or the file is not a whole model.
    """
    known = shipped()
    path = known.get(name) or known.get(f"{name}_int8")
    if path is None and (name.endswith(".safetensors") or "/" in name):
        path = Path(name)
        if not os.path.isfile(path):
            raise HoldfastError(f"there is no model file {printable(name, 200)}.")
    if path is None:
        raise HoldfastError(
            f"there is no network {shown(name)}; shipped are {', '.join(known) or 'none'}, "
            "anything else is the path of a .safetensors file."
        )
    return Graph.load(path)
