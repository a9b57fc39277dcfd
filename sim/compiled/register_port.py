"""Registers of an accelerator in the compiled engine, through a port that a fault may have broken.

What `sim.cocotb.register_port` is in cocotb: the same signals in the same cycles.
"""

from holdfast.sim.driver import REGISTER

from .bus import BusError, CompiledBus
from .model import CompiledModel

__all__ = ["CompiledRegisterBus"]

_LIMIT = 40


class CompiledRegisterBus:
    """Manager of a model's port; ready for every answer at once.

    Parameters
    ----------
    model : CompiledModel
        Of an accelerator.
    """

    def __init__(self, model: CompiledModel):
        self._model = model
        self._bus = CompiledBus(model, timeout=_LIMIT)

    def quiet(self) -> None:
        """Offer nothing, and no burst."""
        self._bus.quiet()
        for channel in ("aw", "ar"):
            self._model.poke(f"s_axi_{channel}len", 0)

    def write(self, name: str, value: int) -> bool:
        """Write a register; ends with the edge that accepts the data; False if none does."""
        try:
            self._bus.post_word(REGISTER[name], value)
        except BusError:
            self._bus.quiet()
            return False
        return True

    def read(self, name: str) -> int | None:
        """Read a register; None if there was no answer, or an error."""
        try:
            return self._bus.read_word(REGISTER[name])
        except BusError:
            self._bus.quiet()
            return None
