"""AXI4 in a cocotb testbench that survives a port that a fault has broken.

Library masters raise, or wait for ever, when the subordinate answers what was not asked.
"""

from cocotb.triggers import RisingEdge

from holdfast.sim.driver import REGISTER

__all__ = ["RegisterBus"]

_LIMIT = 40
_BURST = 1024
_WORD_SIZE, _INCREMENTING = 2, 1


class RegisterBus:
    """Manager of an accelerator's port; ready for every answer at once.

    Parameters
    ----------
    dut
        cocotb handle of the accelerator.
    """

    def __init__(self, dut):
        self.dut = dut
        for channel in ("aw", "ar"):
            for name, value in (
                ("id", 0),
                ("len", 0),
                ("size", _WORD_SIZE),
                ("burst", _INCREMENTING),
            ):
                getattr(dut, f"s_axi_{channel}{name}").value = value
        dut.s_axi_bready.value = 1
        dut.s_axi_rready.value = 1
        self.quiet()

    def quiet(self) -> None:
        """Offer nothing."""
        for channel in ("aw", "w", "ar"):
            getattr(self.dut, f"s_axi_{channel}valid").value = 0

    async def write(self, name: str, value: int) -> bool:
        """Write a register; returns at the edge that accepts the data, or False if none does."""
        dut = self.dut
        dut.s_axi_awaddr.value = REGISTER[name]
        dut.s_axi_awlen.value = 0
        dut.s_axi_wdata.value = value
        dut.s_axi_wstrb.value = 0b1111
        dut.s_axi_wlast.value = 1
        return await self._offer("aw") and await self._offer("w")

    async def load(self, address: int, data: bytes) -> None:
        """Write whole words to a memory."""
        dut = self.dut
        dut.s_axi_wstrb.value = 0b1111
        for start in range(0, len(data), _BURST):
            part = data[start : start + _BURST]
            dut.s_axi_awaddr.value = address + start
            dut.s_axi_awlen.value = len(part) // 4 - 1
            accepted = await self._offer("aw")
            for beat in range(0, len(part), 4):
                dut.s_axi_wdata.value = int.from_bytes(part[beat : beat + 4], "little")
                dut.s_axi_wlast.value = beat + 4 == len(part)
                accepted = accepted and await self._offer("w")
            assert accepted, f"the port took no write to {address + start:#x}"

    async def read(self, name: str) -> int | None:
        """Read a register; None if there was no answer, or an error."""
        dut = self.dut
        dut.s_axi_araddr.value = REGISTER[name]
        if not await self._offer("ar"):
            return None
        for _ in range(_LIMIT):
            await RisingEdge(dut.clk)
            if dut.s_axi_rvalid.value:
                return None if int(dut.s_axi_rresp.value) else int(dut.s_axi_rdata.value)
        return None

    async def _offer(self, channel: str) -> bool:
        valid = getattr(self.dut, f"s_axi_{channel}valid")
        ready = getattr(self.dut, f"s_axi_{channel}ready")
        valid.value = 1
        for _ in range(_LIMIT):
            await RisingEdge(self.dut.clk)
            if ready.value:
                valid.value = 0
                return True
        valid.value = 0
        return False
