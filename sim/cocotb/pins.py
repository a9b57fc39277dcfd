"""The pins of an accelerator in a cocotb testbench, for `sim.register_port.RegisterPort`."""

from cocotb.triggers import RisingEdge


class CocotbPins:
    """Is the `sim.register_port.Pins` of a device under test.

    Parameters
    ----------
    dut
        cocotb handle of the accelerator.
    """

    def __init__(self, dut):
        self._dut = dut

    def drive(self, name: str, value: int) -> None:
        getattr(self._dut, name).value = value

    async def edge(self, *names: str) -> list[int]:
        await RisingEdge(self._dut.clk)
        return [int(getattr(self._dut, name).value) for name in names]
