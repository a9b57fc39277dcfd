"""The mappings by the name of their dataflow."""

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown

from .base import LayerMapping
from .weight_stationary import weight_stationary

MAPPINGS: dict[str, LayerMapping] = {"weight_stationary": weight_stationary}


def find_mapping(dataflow: str) -> LayerMapping:
    """Returns the mapping of a dataflow.

    Raises
    ------
    HoldfastError
        There is none.
    """
    if dataflow not in MAPPINGS:
        raise HoldfastError(
            f"the compiler has no mapping for the dataflow {shown(dataflow)}, "
            f"only for {', '.join(MAPPINGS)}."
        )
    return MAPPINGS[dataflow]
