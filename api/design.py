"""Says what is weighed: a network and an accelerator."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.base.errors import HoldfastError
from holdfast.base.extras import needed
from holdfast.base.text import shown
from holdfast.gen.config import AcceleratorConfig

from .given import check_kind, path_of

if TYPE_CHECKING:
    from holdfast.nn.graph.graph import Graph


def load(network: str | Path) -> "Graph":
    """Loads a quantized network.

    Parameters
    ----------
    network : str or Path
        Name of a shipped network, such as ``resnet8``, or path of a model file.

    Raises
    ------
    HoldfastError
        There is none, or the file is damaged.
    """
    with needed():
        from holdfast.nn.graph.shipped import load_network
    return load_network(str(network))


@dataclass(frozen=True)
class Accelerator:
    """Describes an accelerator, whose widths follow the network that it runs.

    Attributes
    ----------
    rows, cols : int or None
        Size of the array, 1 to 16; 8 by default.
    guard : bool or str
        The range guard: False, True for the strongest that the hardware has, or the name of a
        setting, such as ``zero``.
    protection : str or None
        A preset of protections: ``none``, ``light``, ``balanced``, ``strong``; None: the file's.
    config : Path, str or None
        A TOML file that says everything of the hardware, instead of rows and columns.
    """

    rows: int | None = None
    cols: int | None = None
    guard: bool | str = False
    config: str | Path | None = None
    protection: str | None = None

    def hardware(self, network: "Graph") -> AcceleratorConfig:
        """Returns the configuration of the hardware for a network.

        Raises
        ------
        HoldfastError
            A value is out of its bounds or of another kind, or both a file and a size are given.
        """
        with needed():
            from holdfast.nn.compiler.configuration import configuration
            from holdfast.nn.graph.graph import Graph
        check_kind(Graph, "what load() returns", network=network)
        path = path_of("config", self.config)
        return configuration(network, path, self.rows, self.cols, self.protection)

    def guard_setting(self, config: AcceleratorConfig) -> str:
        """Returns the name of the guard's setting on this hardware.

        Raises
        ------
        HoldfastError
            The hardware does not have it.
        """
        from holdfast.nn.graph.guard_modes import guard_name, named_guard

        if not isinstance(self.guard, bool | str):
            raise HoldfastError(f"guard must be True, False or a name, not {shown(self.guard)}.")
        name = self.guard if isinstance(self.guard, str) else None if self.guard else "off"
        return guard_name(named_guard(name, config))
