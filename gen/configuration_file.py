"""Reads a configuration of which every part is known: its dataflow and its protections."""

from pathlib import Path

from .config import AcceleratorConfig
from .dataflow.registry import dataflow
from .protection.registry import protections


def read_configuration(path: Path) -> AcceleratorConfig:
    """Reads a TOML file as `AcceleratorConfig.from_toml`.

    Raises
    ------
    HoldfastError
        As that, or it names a dataflow or a protection that there is not.
    """
    return checked(AcceleratorConfig.from_toml(path))


def checked(config: AcceleratorConfig) -> AcceleratorConfig:
    """Returns a configuration; HoldfastError if it names a part that there is not."""
    dataflow(config)
    protections(config)
    return config
