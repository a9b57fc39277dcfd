"""Parity of rows of weights."""

import numpy as np
from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.datapath import Datapath
from holdfast.gen.layout import Status
from holdfast.gen.roles import Kind, Role
from holdfast.gen.units.memory import LaneMemory

from .base import Check
from .parity import INTERLEAVE, parity, parity_of


def row_parity(weights: NDArray[np.integer], config: AcceleratorConfig) -> NDArray[np.int8]:
    """Returns the parity bits [n] of rows of weights, [n, cols]."""
    bits = weights[:, :, None] >> np.arange(config.weight_bits) & 1
    return parity_of(bits.reshape(len(weights), -1)).astype(np.int8)


class WeightChecker(wiring.Component):
    """Checks a row of weights when the array takes it.

    Members
    -------
    row, check, taken
        Weights of a row, their parity bits, and whether the array takes them in this cycle.
    mismatch
        One cycle later.

    Protection
    ----------
    One wrong bit, or two neighbours, of a row of weights in memory or on its way to the array. It
    is blind to a wrong address that all lanes share.
    """

    STATE = {r"\w+": Kind(Role.CHECK)}

    def __init__(self, config: AcceleratorConfig):
        row = config.cols * config.weight_bits
        super().__init__(
            {"row": In(row), "check": In(INTERLEAVE), "taken": In(1), "mismatch": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.mismatch.eq(self.taken & (parity([self.row]) != self.check))
        return m


class WeightParity(Check):
    """Ends a run that met a row of weights of a wrong parity."""

    name = "weight_parity"
    stops = Status.WEIGHT_CHECK
    sees = frozenset({Role.WEIGHT_WORDS, Role.WEIGHT_PORT, Role.WEIGHT_ROW, Role.CHECK_WORDS})

    def replace(self, parts: Datapath) -> None:
        parts.weight_checks = LaneMemory(
            1, INTERLEAVE, self.config.weight_depth, split=True, registered=True,
            words=Role.CHECK_WORDS, port=Role.CHECK,
        )  # fmt: skip

    def watch(self, m: Module, parts: Datapath) -> Value:
        m.submodules.weight_checker = checker = WeightChecker(self.config)
        m.d.comb += [
            checker.row.eq(parts.weight_row),
            checker.check.eq(parts.weight_check),
            checker.taken.eq(parts.dataflow.units["weight_loader"].load.any()),
        ]
        return checker.mismatch
