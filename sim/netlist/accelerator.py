"""The netlist of an accelerator, elaborated once per configuration and generator source.

netlist = accelerator_netlist(AcceleratorConfig(rows=8, cols=8))
"""

from importlib import metadata
from pathlib import Path

from holdfast.base.files import read_bytes
from holdfast.base.sources import outside_hash, source_hash
from holdfast.gen.accelerator import Accelerator
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.registry import dataflow
from holdfast.gen.protection.registry import protections
from holdfast.sim.tools import yosys_version
from holdfast.sim.verilate import cached

from .netlist import Netlist

TOP = "accelerator"
"""Name of the Verilog module."""


def accelerator_netlist(config: AcceleratorConfig) -> Netlist:
    """Returns the flattened netlist of ``Accelerator(config)``, kept in ``build/cache``."""
    key = [repr(config), yosys_version(), metadata.version("amaranth")]
    key.append(source_hash("holdfast.sim.netlist.accelerator"))
    key.append(outside_hash(dataflow(config), *protections(config)))

    def make(folder: Path) -> None:
        netlist = Netlist.of(Accelerator(config), TOP)
        (folder / "netlist.json").write_text(netlist.to_json(), encoding="utf-8")

    folder = cached("netlist", key, make)
    return Netlist.from_json(read_bytes(folder / "netlist.json", "netlist"))


def control_netlist(netlist: Netlist) -> Netlist:
    """Returns the part of an accelerator that decides when a run ends, and how: its control,
    without array, lanes and data; kept in ``build/cache``.
    """

    def make(folder: Path) -> None:
        text = netlist.cone("interrupt").to_json()
        (folder / "netlist.json").write_text(text, encoding="utf-8")

    key = [netlist.hash, yosys_version(), source_hash("holdfast.sim.netlist.accelerator")]
    folder = cached("control", key, make)
    return Netlist.from_json(read_bytes(folder / "netlist.json", "netlist"))
