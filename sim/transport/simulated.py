"""The AXI port of a simulated accelerator: a board for those who have none."""

from holdfast.sim.compiled.bus import CompiledBus
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.netlist.accelerator import accelerator_netlist

from .base import Link, Transport


def open_simulated(link: Link) -> Transport:
    """Builds the accelerator of a link in the compiled engine and resets it."""
    model = CompiledModel(accelerator_netlist(link.config))
    bus = CompiledBus(model)
    model.reset(3)
    return bus
