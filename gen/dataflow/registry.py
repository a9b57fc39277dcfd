"""The dataflows by name."""

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.latencies import Latencies

from .base import Dataflow
from .weight_stationary import WeightStationary

DATAFLOWS: dict[str, type[Dataflow]] = {kind.name: kind for kind in (WeightStationary,)}


def dataflow(config: AcceleratorConfig) -> type[Dataflow]:
    """Returns the dataflow of an accelerator.

    Raises
    ------
    HoldfastError
        There is no dataflow of this name.
    """
    if config.dataflow not in DATAFLOWS:
        raise HoldfastError(
            f"dataflow must be one of {', '.join(DATAFLOWS)}, not {shown(config.dataflow)}."
        )
    return DATAFLOWS[config.dataflow]


def latencies(config: AcceleratorConfig) -> Latencies:
    """Returns the latencies of an accelerator; those of its dataflow."""
    return dataflow(config).latencies(config.rows, config.cols, bool(config.protections))
