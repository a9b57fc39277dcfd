"""Delay triangles between aligned vectors and the diagonal wavefront of the array."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class Skew(wiring.Component):
    """Delays lane k by k cycles, or with ``reverse`` by ``lanes - 1 - k``.

    Parameters
    ----------
    lanes : int
        Lanes of the vector.
    shape
        Shape of a lane.
    reverse : bool
        Align a wavefront instead of making one.

    Members
    -------
    i, o
        Vectors of ``lanes`` values.
    """

    def __init__(self, lanes: int, shape, reverse: bool = False):
        super().__init__(
            {"i": In(data.ArrayLayout(shape, lanes)), "o": Out(data.ArrayLayout(shape, lanes))}
        )
        self._lanes = lanes
        self._shape = shape
        self._reverse = reverse

    def elaborate(self, platform):
        m = Module()
        for lane in range(self._lanes):
            value = self.i[lane]
            for stage in range(self._lanes - 1 - lane if self._reverse else lane):
                delayed = Signal(self._shape, name=f"lane_{lane}_{stage}")
                m.d.sync += delayed.eq(value)
                value = delayed
            m.d.comb += self.o[lane].eq(value)
        if self._lanes == 1:
            # Amaranth asks for a statement in every domain that a component is placed in.
            m.d.sync += []
        return m
