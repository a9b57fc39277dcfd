"""The clock: the family's PLL makes the core clock from the oscillator.

m.submodules.pll = pll = Pll(board)      # pll.clock, pll.locked
"""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.constraints.boards import Board
from holdfast.constraints.families.registry import FAMILIES


class Pll(wiring.Component):
    """Makes the PLL of a board.

    Members
    -------
    source
        The oscillator.
    clock
        The core clock.
    double
        Twice the core clock, its edges on every edge of it; only on the iCE40, else constant.
    locked
        Both are stable.
    """

    def __init__(self, board: Board):
        self._board = board
        super().__init__({"source": In(1), "clock": Out(1), "double": Out(1), "locked": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.primitive = FAMILIES[self._board.family].pll(self._board, self)
        return m
