"""Says where the channels of an output tile lie in activation words."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig

from .descriptor import lane_offsets


class TensorWalk(wiring.Component):
    """Addresses of consecutive output tiles of a tensor: column by column, row by row, tile by
    tile.

    Parameters
    ----------
    rows : bool
        Without, all pixels are one row: ``step_y`` and ``columns`` do not exist.

    Members
    -------
    base, lane, step_x, step_y, columns
        Word and lane of the first channel of pixel 0; words between columns and between rows;
        columns in a row.
    go
        Starts over at ``base`` and ``lane``.
    take, end
        This pixel's address is used; ``end``: it is the last of its output tile.
    address
        Per lane of the word: a tile that begins in the middle of a word continues in the next.
    offset
        Lane at which the tile begins.
    tile
        Index of the output tile.
    """

    def __init__(self, config: AcceleratorConfig, rows: bool):
        self.config = config
        self._rows = rows
        self.pointer = Signal(16)
        super().__init__(
            {
                "base": In(16),
                "lane": In(5),
                "step_x": In(16),
                "go": In(1),
                "take": In(1),
                "end": In(1),
                "address": Out(data.ArrayLayout(16, config.word_lanes)),
                "offset": Out(range(max(2, config.word_lanes))),
                "tile": Out(14),
            }
            | ({"step_y": In(16), "columns": In(9)} if rows else {})
        )

    def elaborate(self, platform):
        m = Module()
        lanes, cols = self.config.word_lanes, self.config.cols
        pointer = self.pointer
        tile_base = Signal(16)
        next_base = Signal(16)
        over = self.take & self.end

        offsets = lane_offsets(self.config)
        if len(offsets) == 1:
            m.d.comb += next_base.eq(tile_base + 1)
        else:
            advanced = Signal(range(2 * lanes))
            m.d.comb += advanced.eq(self.offset + cols)
            with m.If(self.go):
                m.d.sync += self.offset.eq(self.lane)
            with m.Elif(over):
                m.d.sync += self.offset.eq(Mux(advanced >= lanes, advanced - lanes, advanced))
            m.d.comb += next_base.eq(tile_base + (advanced >= lanes))
        with m.If(self.go):
            m.d.comb += next_base.eq(self.base)

        with m.If(self.take):
            m.d.sync += pointer.eq(pointer + self.step_x)
        if self._rows:
            row = Signal(16)
            next_row = Signal(16)
            # What remains of the row, this pixel included.
            column = Signal(9)
            m.d.comb += next_row.eq(row + self.step_y)
            with m.If(self.take):
                m.d.sync += column.eq(column - 1)
                with m.If(column == 1):
                    m.d.sync += [pointer.eq(next_row), row.eq(next_row), column.eq(self.columns)]
            with m.If(self.go | over):
                m.d.sync += [row.eq(next_base), column.eq(self.columns)]
        with m.If(self.go | over):
            m.d.sync += [
                pointer.eq(next_base),
                tile_base.eq(next_base),
                self.tile.eq(Mux(self.go, 0, self.tile + 1)),
            ]

        for lane in range(lanes):
            wraps = [offset for offset in offsets if lane < offset + cols - lanes]
            if wraps:
                wrapped = Signal(name=f"wrapped_{lane}")
                m.d.comb += wrapped.eq(self.offset >= min(wraps))
                m.d.comb += self.address[lane].eq(pointer + wrapped)
            else:
                m.d.comb += self.address[lane].eq(pointer)
        return m
