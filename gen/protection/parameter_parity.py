"""Parity of the channels' parameters."""

import numpy as np
from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.datapath import Datapath, ParameterField, parameter_fields
from holdfast.gen.layout import Status
from holdfast.gen.roles import Kind, Role

from .base import Check
from .parity import INTERLEAVE, parity, parity_of

CHECK = ParameterField("check", 1, 30, INTERLEAVE)
"""Where the parity bits are in a channel's bus words, and in the memory of scales."""


def memory_fields(config: AcceleratorConfig) -> dict[str, list[ParameterField]]:
    """Returns what each parameter memory of an accelerator holds, lowest bits first."""
    fields = parameter_fields(config)
    if ParameterParity.name in config.protections:
        fields["scale"].append(CHECK)
    return fields


def with_parity(words: NDArray[np.uint32], config: AcceleratorConfig) -> NDArray[np.uint32]:
    """Returns channels' bus words [n, 4] with their parity bits."""
    bits = [
        words[:, part.slot, None] >> np.arange(part.offset, part.offset + part.width) & 1
        for parts in parameter_fields(config).values()
        for part in parts
    ]
    result = words.copy()
    result[:, CHECK.slot] |= (parity_of(np.concatenate(bits, 1)) << CHECK.offset).astype(np.uint32)
    return result


class ParameterChecker(wiring.Component):
    """Checks the parameters of a channel when a lane may take them.

    Parameters
    ----------
    width : int
        Bits of a channel's parameters.

    Members
    -------
    active
        A channel's address is at the memories; its words follow two cycles later.
    bits, check
        Its parameters and their parity bits.
    mismatch
        Three cycles after the address.

    Protection
    ----------
    One wrong bit, or two neighbours, of a channel's parameters in memory or in the registers
    behind it. It is blind to a wrong address.
    """

    STATE = {r"\w+": Kind(Role.CHECK)}

    def __init__(self, width: int):
        super().__init__(
            {"active": In(1), "bits": In(width), "check": In(INTERLEAVE), "mismatch": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        active_read = Signal()
        active_held = Signal()
        m.d.sync += [
            active_read.eq(self.active),
            active_held.eq(active_read),
            self.mismatch.eq(active_held & (parity([self.bits]) != self.check)),
        ]
        return m


class ParameterParity(Check):
    """Ends a run that met parameters of a wrong parity."""

    name = "parameter_parity"
    stops = Status.PARAMETER_CHECK
    sees = frozenset({Role.PARAMETER_WORDS, Role.PARAMETER_PORT})

    def replace(self, parts: Datapath) -> None:
        parts.parameter_fields["scale"].append(CHECK)

    def watch(self, m: Module, parts: Datapath) -> Value:
        words = parts.parameter_words
        scale = words["scale"]
        values = [word for name, word in words.items() if name != "scale"]
        values.insert(1, scale[:-INTERLEAVE])
        width = sum(len(value) for value in values)
        m.submodules.parameter_checker = checker = ParameterChecker(width)
        m.d.comb += [
            checker.active.eq(parts.parameter_loader.active),
            checker.bits.eq(Cat(values)),
            checker.check.eq(scale[-INTERLEAVE:]),
        ]
        return checker.mismatch
