"""The accelerator for a network."""

from pathlib import Path

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.configuration_file import checked, read_configuration
from holdfast.gen.protection.presets import named_preset
from holdfast.nn.graph.graph import Graph


def configuration(
    graph: Graph,
    path: Path | None,
    rows: int | None,
    cols: int | None,
    protection: str | None = None,
) -> AcceleratorConfig:
    """Returns a file's configuration, or the default one with the network's widths.

    Parameters
    ----------
    path : Path or None
        A TOML file.
    rows, cols : int or None
        Size of the array, 8 by default; not with a file.
    protection : str or None
        A preset of `gen.protection.presets`, instead of the file's protections.

    Raises
    ------
    HoldfastError
        Both a file and a size are given, or what they say is not possible.
    """
    if path is not None:
        if rows is not None or cols is not None:
            raise HoldfastError(
                "the configuration already says rows and cols; give one or the other."
            )
        return _protected(read_configuration(path), protection)
    need = max(graph.accumulator_bits(node) for node in graph.weighted())
    chosen = AcceleratorConfig(
        rows=8 if rows is None else rows,
        cols=8 if cols is None else cols,
        act_bits=graph.act_bits,
        weight_bits=graph.weight_bits,
        multiplier_bits=graph.multiplier_bits,
        rounding=graph.rounding,
        acc_bits=max(24, need),
    )
    return _protected(chosen, protection)


def _protected(config: AcceleratorConfig, preset: str | None) -> AcceleratorConfig:
    if preset is None:
        return config
    return checked(config.with_(protections=named_preset(preset)))
