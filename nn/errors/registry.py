"""Error models by name."""

import re
from collections.abc import Callable
from pathlib import Path

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown
from holdfast.gen.config import AcceleratorConfig

from .base import (
    ErrorModel,
)
from .empirical import CalibratedFaults
from .literature import (
    ActivationBitFlips,
    MacBitBias,
    StuckWeightBits,
    StuckWeightCells,
    WeightBitFlips,
)
from .stuck_pes import STUCK_PES, StuckPEs

__all__ = ["CALIBRATED", "fault_model", "fault_model_names"]


_MODELS: dict[str, Callable[[float, int], ErrorModel]] = {
    "mibb": MacBitBias,
    "adsaf": StuckWeightCells,
    "adsaf-bits": StuckWeightBits,
    "ibf-weights": WeightBitFlips,
    "ibf-activations": ActivationBitFlips,
    STUCK_PES: StuckPEs,
}


CALIBRATED = "calibrated:"
"""Begins the name of a model in a file (`nn.errors.empirical`)."""


def fault_model_names() -> list[str]:
    """Names that :func:`fault_model` accepts, beside those of files."""
    return list(_MODELS)


def fault_model(name: str, rate: float, seed: int = 0) -> ErrorModel:
    """The fault model of that name at a rate; ``calibrated:FILE`` is one of `nn.errors.empirical`,
    ``stuck-pes:ROWSxCOLS`` that of an array.

    Raises
    ------
    HoldfastError
        There is none of that name, or the rate or the array is out of bounds.
    """
    if name.startswith(CALIBRATED):
        path = Path(name.removeprefix(CALIBRATED))
        if not path.name:
            raise HoldfastError(f"{CALIBRATED} needs the name of a file behind it.")
        return CalibratedFaults(path, rate, seed)
    if name.startswith(f"{STUCK_PES}:"):
        size = re.fullmatch(r"(\d{1,4})x(\d{1,4})", name.removeprefix(f"{STUCK_PES}:"))
        if not size:
            raise HoldfastError(f"{shown(name)} must name its array as in {STUCK_PES}:4x16.")
        array = AcceleratorConfig(rows=int(size[1]), cols=int(size[2]))
        return StuckPEs(rate, seed, rows=array.rows, cols=array.cols)
    if name not in _MODELS:
        raise HoldfastError(
            f"unknown fault model {shown(name)}; known are {', '.join(fault_model_names())} "
            f"and {CALIBRATED}FILE."
        )
    return _MODELS[name](rate, seed)
