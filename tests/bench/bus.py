"""Random back-pressure on every channel of the port."""

from typing import Any

from holdfast.gen.port.axi import AxiSubordinate
from holdfast.sim.cocotb.build import build_cocotb, run_cocotb
from holdfast.sim.netlist.netlist import Netlist


def measure(transactions: int) -> dict[str, Any]:
    """Bursts and beats that passed.

    Raises
    ------
    SimulationError
        A beat was lost, doubled or wrong, or the port hangs.
    """
    netlist = Netlist.of(AxiSubordinate(), "unit")
    inputs = [port.name for port in netlist.ports if port.direction == "input"]
    return run_cocotb(
        build_cocotb(netlist),
        "tests.sim.unit_axi",
        testcase="bursts_with_pauses$",
        parameters={"inputs": inputs, "transactions": transactions},
    )
