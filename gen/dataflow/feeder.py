"""Address generation for the activations of a convolution."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.roles import Kind, Role
from holdfast.gen.units.descriptor import Layer, Token


class _Loops:
    """The loops around a pixel: what remains of each, this turn included, and where it began.

    The end of a loop is a comparison with 1; of those around a tile, ``last_*`` says it in advance.
    """

    def __init__(self, sub_block: Signal):
        self.column = Signal(9)
        self.row = Signal(9)
        self.block = Signal(13)
        self.sub_block = Signal.like(sub_block)
        self.kernel_column = Signal(5)
        self.kernel_row = Signal(5)
        self.output_tile = Signal(14)
        self.first_pixel = Signal()
        self.first_reduction = Signal()
        self.x = Signal(signed(10))
        self.x_tile = Signal(signed(10))
        self.y = Signal(signed(10))
        self.y_tile = Signal(signed(10))
        self.pixel_address = Signal(16)
        self.row_address = Signal(16)
        self.tile_address = Signal(16)
        self.column_address = Signal(16)
        self.kernel_address = Signal(16)
        self.output_address = Signal(16)
        self.last_block = Signal()
        self.last_kernel_column = Signal()
        self.last_kernel_row = Signal()
        self.last_output = Signal()
        self.last_column = self.column == 1
        self.last_pixel = self.last_column & (self.row == 1)
        self.last_reduction = self.last_block & self.last_kernel_column & self.last_kernel_row
        self.last_tile = self.last_reduction & self.last_output


class Feeder(wiring.Component):
    """Walks output tile, kernel row, kernel column, channel block, output row and column.

    One activation word address per cycle; the convolution's patches are read in place, no im2col
    copy exists. A tile (one step of the four outer loops) streams all output pixels past one weight
    tile.

    Members
    -------
    layer, go
        Descriptor, stable from the cycle before ``go`` until ``done``.
    stop
        Ends the walk at once.
    address, sub_block, pad, token
        The pixel that is read in this cycle. ``pad``: it lies outside the input.
    load_next
        With ``token.start``: the next tile needs the next weight tile.
    done
        Pulses with the last pixel of the layer.
    streaming, stall_weights, stall_memory, stall_writeback
        What this cycle is spent on: reading a pixel; waiting for weights, for accumulators, or
        between output tiles.

    Latency
    -------
    First token ``FIRST_TOKEN`` cycles after ``go``. A tile of N pixels occupies max(N, interval)
    cycles: ``weight_interval`` if the next tile has new weights, else ``HAZARD`` or, for sums of
    N = 1, one. Each output tile adds ``GAP`` cycles, in which the lanes change their parameters.

    Back-pressure
    -------------
    None: everything behind the feeder takes one pixel per cycle.
    """

    HAZARD = 5
    """Cycles from reading an accumulator to reading its new value."""
    GAP = 5
    FIRST_TOKEN = 2
    """Cycles from ``go`` to the first token."""

    STATE = {"walking": Kind(Role.CONTROL, live=("layer", "inference")), r"\w+": Kind(Role.CONTROL)}

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.chained = Signal()
        super().__init__(
            {
                "layer": In(Layer),
                "go": In(1),
                "stop": In(1),
                "address": Out(16),
                "sub_block": Out(range(max(2, config.sub_blocks))),
                "pad": Out(1),
                "token": Out(Token),
                "load_next": Out(1),
                "done": Out(1),
                "streaming": Out(1),
                "stall_weights": Out(1),
                "stall_memory": Out(1),
                "stall_writeback": Out(1),
            }
        )

    @classmethod
    def weight_interval(cls, rows: int, cols: int) -> int:
        """Returns the least cycles between tiles with different weights."""
        return max(rows, cols, cls.HAZARD)

    def elaborate(self, platform):
        m = Module()
        layer, loops = self.layer, _Loops(self.sub_block)
        walking = Signal()
        waiting = Signal()
        interval = self.weight_interval(self.config.rows, self.config.cols)
        elapsed = Signal(range(interval + 1))
        gap = Signal(range(self.GAP + 1))
        needs_weights = ~layer.hold_weights | loops.last_reduction
        chained = self.chained
        m.d.sync += chained.eq((layer.out_w == 1) & (layer.out_h == 1) & ~layer.maximum)

        def passed(before: int):
            """Tells whether the tile's interval is over, or will be ``before`` cycles later."""
            after_hazard = chained | (elapsed >= self.HAZARD - before)
            return Mux(needs_weights, elapsed >= interval - before, after_hazard)

        issue = walking & ~waiting
        early = ~passed(before=0)
        m.d.comb += [
            self.streaming.eq(issue),
            self.stall_weights.eq(walking & waiting & early & needs_weights),
            self.stall_memory.eq(walking & waiting & early & ~needs_weights),
            self.stall_writeback.eq(walking & waiting & ~early),
        ]
        next_tile = Signal()
        tile_over = Signal()
        m.d.comb += [
            tile_over.eq(Mux(waiting, gap == 0, loops.last_pixel & ~loops.last_reduction)),
            next_tile.eq(walking & tile_over & passed(before=1)),
        ]
        row_base = Signal(16)
        m.d.comb += row_base.eq(loops.row_address + layer.step_y)
        m.d.sync += [self.token.as_value().eq(0), self.done.eq(0), self.load_next.eq(0)]
        with m.If(issue):
            self._issue(m, loops, needs_weights, row_base)
            with m.If(loops.last_pixel):
                m.d.sync += waiting.eq(1)
                with m.If(loops.last_reduction):
                    m.d.sync += gap.eq(self.GAP - 1)
                with m.If(loops.last_tile):
                    m.d.sync += [walking.eq(0), self.done.eq(1)]
        with m.If(elapsed != interval):
            m.d.sync += elapsed.eq(elapsed + 1)
        with m.If(waiting & ~early & (gap != 0)):
            m.d.sync += gap.eq(gap - 1)

        # The first tile is entered like any other, as if all loops had just ended. Which loops end
        # is known before whether one does: ``go`` and the end of a tile come last in their cycles.
        enter = Signal()
        m.d.comb += enter.eq(self.go | next_tile)
        begin = ~walking
        tile = self._next_tile(m, loops, begin)
        with m.If(enter):
            m.d.sync += [waiting.eq(0), gap.eq(0), elapsed.eq(0)]
            self._enter(m, loops, begin, *tile)
        with m.If(self.go):
            m.d.sync += walking.eq(1)
        with m.If(self.stop):
            m.d.sync += walking.eq(0)
        return m

    def _issue(self, m, loops: _Loops, needs_weights, row_base):
        """Reads a pixel and turns to the next of the tile."""
        layer = self.layer
        outside = [loops.x.as_unsigned() >= layer.in_w, loops.y.as_unsigned() >= layer.in_h]
        m.d.sync += [
            self.address.eq(loops.pixel_address),
            self.sub_block.eq(loops.sub_block),
            self.pad.eq(outside[0] | outside[1]),
            self.token.valid.eq(1),
            self.token.start.eq(loops.first_pixel),
            self.token.end.eq(loops.last_pixel),
            self.token.first.eq(loops.first_reduction),
            self.token.last.eq(loops.last_reduction),
            self.load_next.eq(loops.first_pixel & needs_weights & ~loops.last_tile),
            loops.first_pixel.eq(0),
            loops.column.eq(loops.column - 1),
            loops.x.eq(loops.x + layer.stride),
            loops.pixel_address.eq(loops.pixel_address + layer.step_x),
        ]
        with m.If(loops.last_column):
            m.d.sync += [
                loops.column.eq(layer.out_w),
                loops.row.eq(loops.row - 1),
                loops.x.eq(loops.x_tile),
                loops.y.eq(loops.y + layer.stride),
                loops.row_address.eq(row_base),
                loops.pixel_address.eq(row_base),
            ]

    def _next_tile(self, m, loops: _Loops, begin):
        """Says which loops turn with the next tile, and its address as ``base + step``."""
        layer, sub_blocks = self.layer, self.config.sub_blocks
        next_column = Signal()
        next_row = Signal()
        next_output = Signal()
        m.d.comb += [
            next_column.eq(begin | loops.last_block),
            next_row.eq(begin | (loops.last_block & loops.last_kernel_column)),
            next_output.eq(begin | loops.last_reduction),
        ]
        base = Signal(16)
        step = Signal(16)
        tile_base = Signal(16)
        m.d.comb += [base.eq(loops.tile_address), step.eq(1), tile_base.eq(base + step)]
        if sub_blocks > 1:
            m.d.comb += step.eq(loops.sub_block == sub_blocks - 1)
        with m.If(begin):
            m.d.comb += [base.eq(layer.input_base), step.eq(0)]
        with m.Elif(next_output):
            m.d.comb += [base.eq(loops.output_address), step.eq(layer.input_step)]
        with m.Elif(next_row):
            m.d.comb += [base.eq(loops.kernel_address), step.eq(layer.step_ky)]
        with m.Elif(next_column):
            m.d.comb += [base.eq(loops.column_address), step.eq(layer.step_kx)]
        return next_column, next_row, next_output, tile_base, step

    def _enter(self, m, loops: _Loops, begin, next_column, next_row, next_output, tile_base, step):
        """Begins a tile: every loop that ended begins again, the one around them turns."""
        layer = self.layer
        x_next = Mux(next_column, loops.x_tile + layer.dilation, loops.x_tile)
        y_next = Mux(next_row, loops.y_tile + layer.dilation, loops.y_tile)
        x_base = Mux(next_row, layer.origin_x, x_next)
        y_base = Mux(next_output, layer.origin_y, y_next)

        def turn(left, last, restart, count):
            m.d.sync += [
                left.eq(Mux(restart, count, left - 1)),
                last.eq(Mux(restart, count == 1, left == 2)),
            ]

        m.d.sync += [
            loops.first_pixel.eq(1),
            loops.first_reduction.eq(next_output),
            loops.column.eq(layer.out_w),
            loops.row.eq(layer.out_h),
            loops.x.eq(x_base),
            loops.x_tile.eq(x_base),
            loops.y.eq(y_base),
            loops.y_tile.eq(y_base),
            loops.tile_address.eq(tile_base),
            loops.row_address.eq(tile_base),
            loops.pixel_address.eq(tile_base),
        ]
        turn(loops.block, loops.last_block, next_column, layer.blocks)
        if self.config.sub_blocks > 1:
            m.d.sync += loops.sub_block.eq(Mux(step[0], 0, loops.sub_block + 1))
        with m.If(next_column):
            m.d.sync += [loops.sub_block.eq(layer.sub_block), loops.column_address.eq(tile_base)]
            turn(loops.kernel_column, loops.last_kernel_column, next_row, layer.kernel_w)
        with m.If(next_row):
            m.d.sync += loops.kernel_address.eq(tile_base)
            turn(loops.kernel_row, loops.last_kernel_row, next_output, layer.kernel_h)
        with m.If(next_output):
            m.d.sync += loops.output_address.eq(tile_base)
            turn(loops.output_tile, loops.last_output, begin, layer.co_tiles)
