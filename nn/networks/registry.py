"""Networks by name."""

import math
from collections.abc import Callable

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown

from .resnets import resnet8, resnet20
from .spec import Network, narrowed
from .zoo import ZOO

_NETWORKS: dict[str, Callable[[], Network]] = {"resnet8": resnet8, "resnet20": resnet20} | ZOO


def network_names() -> list[str]:
    """Names that :func:`network` accepts."""
    return list(_NETWORKS)


def network(name: str) -> Network:
    """Returns the network of that name; ``resnet18_w0.125`` has an eighth of the channels of
    ``resnet18``.

    Raises
    ------
    HoldfastError
        There is none of that name or width.
    """
    base, marked, width = name.partition("_w")
    if base not in _NETWORKS or (marked and not _is_number(width)):
        raise HoldfastError(f"unknown network {shown(name)}; known are {', '.join(_NETWORKS)}.")
    return narrowed(_NETWORKS[base](), float(width)) if width else _NETWORKS[base]()


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
