"""The netlist of an accelerator, elaborated once per configuration and generator source.

netlist = accelerator_netlist(AcceleratorConfig(rows=8, cols=8))
"""

from importlib import metadata
from pathlib import Path

from base.files import read_bytes
from base.sources import source_hash
from gen.accelerator import Accelerator
from gen.config import AcceleratorConfig

from .netlist import Netlist
from .tools import yosys_version
from .verilate import cached

__all__ = ["TOP", "accelerator_netlist"]

TOP = "accelerator"
"""Name of the Verilog module."""


def accelerator_netlist(config: AcceleratorConfig) -> Netlist:
    """The flattened netlist of ``Accelerator(config)``, kept in ``build/cache``."""
    key = [repr(config), yosys_version(), metadata.version("amaranth")]
    key.append(source_hash("sim.accelerator"))

    def make(folder: Path) -> None:
        netlist = Netlist.of(Accelerator(config), TOP)
        (folder / "netlist.json").write_text(netlist.to_json(), encoding="utf-8")

    folder = cached("netlist", key, make)
    return Netlist.from_json(read_bytes(folder / "netlist.json", "netlist"))
