"""Registers of an accelerator in the compiled engine, through a port that a fault may have broken.

What `fault.bus` is in cocotb: the same signals in the same cycles.
"""

from sim.driver import REGISTER
from sim.fast import FastModel

__all__ = ["FastRegisterBus"]

_LIMIT = 40
_BURST_INPUTS = {"id": 0, "len": 0, "size": 2, "burst": 1}


class FastRegisterBus:
    """Manager of a model's port; ready for every answer at once.

    Parameters
    ----------
    model : FastModel
        Of an accelerator.
    """

    def __init__(self, model: FastModel):
        self.model = model

    def quiet(self) -> None:
        """Offer nothing, and be ready."""
        model = self.model
        for channel in ("aw", "ar"):
            for name, value in _BURST_INPUTS.items():
                model.poke(f"s_axi_{channel}{name}", value)
        for channel in ("aw", "w", "ar"):
            model.poke(f"s_axi_{channel}valid", 0)
        model.poke("s_axi_bready", 1)
        model.poke("s_axi_rready", 1)

    def write(self, name: str, value: int) -> bool:
        """Write a register; ends with the edge that accepts the data; False if none does."""
        model = self.model
        model.poke("s_axi_awaddr", REGISTER[name])
        model.poke("s_axi_wdata", value)
        model.poke("s_axi_wstrb", 0b1111)
        model.poke("s_axi_wlast", 1)
        return self._offer("aw") and self._offer("w")

    def read(self, name: str) -> int | None:
        """Read a register; None if there was no answer, or an error."""
        model = self.model
        model.poke("s_axi_araddr", REGISTER[name])
        if not self._offer("ar"):
            return None
        for _ in range(_LIMIT):
            answered = model.peek("s_axi_rvalid")
            refused, data = model.peek("s_axi_rresp"), model.peek("s_axi_rdata")
            model.step()
            if answered:
                return None if refused else data
        return None

    def _offer(self, channel: str) -> bool:
        model = self.model
        model.poke(f"s_axi_{channel}valid", 1)
        taken = 0
        for _ in range(_LIMIT):
            taken = model.peek(f"s_axi_{channel}ready")
            model.step()
            if taken:
                break
        model.poke(f"s_axi_{channel}valid", 0)
        return bool(taken)
