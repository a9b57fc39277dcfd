"""Parity of the parameters that lanes hold."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.datapath import Datapath
from holdfast.gen.layout import Status
from holdfast.gen.roles import Kind, Role
from holdfast.gen.units.lanes import Lanes

from .base import Check
from .parity import INTERLEAVE, parity


class HeldParity(wiring.Component):
    """Keeps the parity of registers, and compares it with theirs in every cycle.

    Parameters
    ----------
    width, registers : int
        Bits of a register; registers that take the same value at different times.

    Members
    -------
    value
        What registers take.
    takes
        Which of them take it in this cycle.
    held
        What they hold.
    mismatch
        Two cycles after a bit changed.

    Protection
    ----------
    One wrong bit, or two neighbours, of a register, from the cycle after it was taken. It is blind
    to a wrong value that is taken.
    """

    STATE = {r"\w+": Kind(Role.CHECK)}

    def __init__(self, width: int, registers: int):
        self._width, self._registers = width, registers
        super().__init__(
            {
                "value": In(width),
                "takes": In(registers),
                "held": In(width * registers),
                "mismatch": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        incoming = parity([self.value])
        wrong = Signal(self._registers)
        for index in range(self._registers):
            kept = Signal(INTERLEAVE, name=f"kept_{index}")
            with m.If(self.takes[index]):
                m.d.sync += kept.eq(incoming)
            held = self.held[index * self._width : (index + 1) * self._width]
            m.d.sync += wrong[index].eq(parity([held]) != kept)
        m.d.sync += self.mismatch.eq(wrong.any())
        return m


class LaneParity(Check):
    """Ends a run in which the bias or the parameters that a lane holds changed."""

    name = "lane_parity"
    stops = Status.LANE_CHECK
    sees = frozenset({Role.LANE_BIAS, Role.LANE_PARAMETERS})

    def watch(self, m: Module, parts: Datapath) -> Value:
        lanes = parts.lanes
        mismatches = []
        for name, value, held, stage in (
            ("bias", lanes.parameters.bias, lanes.bias, Lanes.STAGE_D),
            ("scale", lanes.channel_setup.parameters, lanes.held, Lanes.STAGE_E),
        ):
            value = Value.cast(value)
            checker = HeldParity(len(value), len(held))
            m.submodules[f"lane_{name}_parity"] = checker
            tokens = lanes.tokens[stage:]
            m.d.comb += [
                checker.value.eq(value),
                checker.takes.eq(Cat(t.valid & t.start & t.last for t in tokens[: len(held)])),
                checker.held.eq(Cat(Value.cast(register) for register in held)),
            ]
            mismatches.append(checker.mismatch)
        return Cat(mismatches).any()
