"""Error models by name, and by what stands behind its colon: ``stuck-pes:4x16``."""

from pathlib import Path

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown

from .base import RatedModel
from .empirical import CalibratedFaults
from .literature import (
    ActivationBitFlips,
    MacBitBias,
    StuckWeightBits,
    StuckWeightCells,
    WeightBitFlips,
)
from .stuck_pes import StuckPEs

MODELS: dict[str, type[RatedModel]] = {
    model.name: model
    for model in (
        MacBitBias,
        StuckWeightCells,
        StuckWeightBits,
        WeightBitFlips,
        ActivationBitFlips,
        StuckPEs,
        CalibratedFaults,
    )
}


def fault_model_names() -> list[str]:
    """Returns the names that :func:`fault_model` accepts as they are."""
    return [name for name, model in MODELS.items() if not model.needs_parameter]


def fault_model_forms() -> list[str]:
    """Returns the names, and again those that can have a parameter, with it."""
    named = [f"{name}:{model.parameter}" for name, model in MODELS.items() if model.parameter]
    return fault_model_names() + named


def fault_model(name: str, rate: float, seed: int = 0) -> RatedModel:
    """Makes the fault model of that name at a rate.

    Raises
    ------
    HoldfastError
        There is none of that name, or the rate or the parameter is out of bounds.
    """
    head, marked, parameter = name.partition(":")
    model = MODELS.get(head)
    if model is None or not (model.parameter if marked else not model.needs_parameter):
        files = [f"{n}:{m.parameter}" for n, m in MODELS.items() if m.needs_parameter]
        raise HoldfastError(
            f"unknown fault model {shown(name)}; known are {', '.join(fault_model_names())} "
            f"and {', '.join(files)}."
        )
    return model.named(parameter if marked else None, rate, seed)


def without_folders(name: str) -> str:
    """Returns a name without the folders of the file in it, if there is one."""
    head, marked, parameter = name.partition(":")
    return head + marked + Path(parameter).name
