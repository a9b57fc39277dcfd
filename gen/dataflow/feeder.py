"""Address generation for the activations of a convolution."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.roles import Kind, Role
from holdfast.gen.units.descriptor import Layer, Token

__all__ = ["Feeder"]


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
    First token two cycles after ``go``. A tile of N pixels occupies max(N, interval) cycles:
    ``weight_interval`` if the next tile has new weights, else ``HAZARD`` or, for sums of N = 1,
    one. Each
    output tile adds ``GAP`` cycles, in which the post-processor changes its parameters.

    Back-pressure
    -------------
    None: everything behind the feeder takes one pixel per cycle.
    """

    HAZARD = 5
    """Cycles from reading an accumulator to reading its new value."""
    GAP = 5

    STATE = {
        "walking": Kind(Role.CONTROL, live=("layer", "inference")),
        r"\w+": Kind(Role.CONTROL),
    }

    def __init__(self, config: AcceleratorConfig):
        self.config = config
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
    def weight_interval(cls, config: AcceleratorConfig) -> int:
        """Least cycles between tiles with different weights."""
        return max(config.rows, config.cols, cls.HAZARD)

    def elaborate(self, platform):
        m = Module()
        layer = self.layer

        walking = Signal()
        waiting = Signal()
        # What remains of each loop, this turn included: its end is a comparison with 1.
        column = Signal(9)
        row = Signal(9)
        block = Signal(13)
        sub_block = Signal.like(self.sub_block)
        kernel_column = Signal(5)
        kernel_row = Signal(5)
        output_tile = Signal(14)
        first_pixel = Signal()
        first_reduction = Signal()
        x = Signal(signed(10))
        x_tile = Signal(signed(10))
        y = Signal(signed(10))
        y_tile = Signal(signed(10))
        pixel_address = Signal(16)
        row_address = Signal(16)
        tile_address = Signal(16)
        column_address = Signal(16)
        kernel_address = Signal(16)
        output_address = Signal(16)
        weight_interval = self.weight_interval(self.config)
        elapsed = Signal(range(weight_interval + 1))
        gap = Signal(range(self.GAP + 1))

        # Of the loops around a tile, whether this is the last turn.
        last_block = Signal()
        last_kernel_column = Signal()
        last_kernel_row = Signal()
        last_output = Signal()
        last_column = column == 1
        last_pixel = last_column & (row == 1)
        last_reduction = last_block & last_kernel_column & last_kernel_row
        last_tile = last_reduction & last_output
        needs_weights = ~layer.hold_weights | last_reduction
        chained = Signal()
        m.d.sync += chained.eq((layer.out_w == 1) & (layer.out_h == 1) & ~layer.maximum)

        def passed(before: int):
            """Whether the tile's interval is over, or will be ``before`` cycles later."""
            after_hazard = chained | (elapsed >= self.HAZARD - before)
            return Mux(needs_weights, elapsed >= weight_interval - before, after_hazard)

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
            tile_over.eq(Mux(waiting, gap == 0, last_pixel & ~last_reduction)),
            next_tile.eq(walking & tile_over & passed(before=1)),
        ]

        row_base = Signal(16)
        m.d.comb += row_base.eq(row_address + layer.step_y)
        m.d.sync += [
            self.token.as_value().eq(0),
            self.done.eq(0),
            self.load_next.eq(0),
        ]
        with m.If(issue):
            m.d.sync += [
                self.address.eq(pixel_address),
                self.sub_block.eq(sub_block),
                self.pad.eq((x.as_unsigned() >= layer.in_w) | (y.as_unsigned() >= layer.in_h)),
                self.token.valid.eq(1),
                self.token.start.eq(first_pixel),
                self.token.end.eq(last_pixel),
                self.token.first.eq(first_reduction),
                self.token.last.eq(last_reduction),
                self.load_next.eq(first_pixel & needs_weights & ~last_tile),
                first_pixel.eq(0),
                column.eq(column - 1),
                x.eq(x + layer.stride),
                pixel_address.eq(pixel_address + layer.step_x),
            ]
            with m.If(last_column):
                m.d.sync += [
                    column.eq(layer.out_w),
                    row.eq(row - 1),
                    x.eq(x_tile),
                    y.eq(y + layer.stride),
                    row_address.eq(row_base),
                    pixel_address.eq(row_base),
                ]
            with m.If(last_pixel):
                m.d.sync += waiting.eq(1)
                with m.If(last_reduction):
                    m.d.sync += gap.eq(self.GAP - 1)
                with m.If(last_tile):
                    m.d.sync += [walking.eq(0), self.done.eq(1)]
        with m.If(elapsed != weight_interval):
            m.d.sync += elapsed.eq(elapsed + 1)
        with m.If(waiting & ~early & (gap != 0)):
            m.d.sync += gap.eq(gap - 1)

        # The first tile is entered like any other, as if all loops had just ended. Which loops end
        # is known before whether one does: ``go`` and the end of a tile come last in their cycles.
        enter = Signal()
        begin = ~walking
        next_column = Signal()
        next_row = Signal()
        next_output = Signal()
        m.d.comb += [
            enter.eq(self.go | next_tile),
            next_column.eq(begin | last_block),
            next_row.eq(begin | (last_block & last_kernel_column)),
            next_output.eq(begin | last_reduction),
        ]
        base = Signal(16)
        step = Signal(16)
        tile_base = Signal(16)
        m.d.comb += [base.eq(tile_address), step.eq(1), tile_base.eq(base + step)]
        if self.config.sub_blocks > 1:
            m.d.comb += step.eq(sub_block == self.config.sub_blocks - 1)
        with m.If(begin):
            m.d.comb += [base.eq(layer.input_base), step.eq(0)]
        with m.Elif(next_output):
            m.d.comb += [base.eq(output_address), step.eq(layer.input_step)]
        with m.Elif(next_row):
            m.d.comb += [base.eq(kernel_address), step.eq(layer.step_ky)]
        with m.Elif(next_column):
            m.d.comb += [base.eq(column_address), step.eq(layer.step_kx)]
        x_base = Mux(next_row, layer.origin_x, Mux(next_column, x_tile + layer.dilation, x_tile))
        y_base = Mux(next_output, layer.origin_y, Mux(next_row, y_tile + layer.dilation, y_tile))

        with m.If(enter):
            m.d.sync += [
                waiting.eq(0),
                gap.eq(0),
                elapsed.eq(0),
                first_pixel.eq(1),
                first_reduction.eq(next_output),
                column.eq(layer.out_w),
                row.eq(layer.out_h),
                x.eq(x_base),
                x_tile.eq(x_base),
                y.eq(y_base),
                y_tile.eq(y_base),
                tile_address.eq(tile_base),
                row_address.eq(tile_base),
                pixel_address.eq(tile_base),
                block.eq(Mux(next_column, layer.blocks, block - 1)),
                last_block.eq(Mux(next_column, layer.blocks == 1, block == 2)),
            ]
            if self.config.sub_blocks > 1:
                m.d.sync += sub_block.eq(Mux(step[0], 0, sub_block + 1))
            with m.If(next_column):
                m.d.sync += [
                    sub_block.eq(layer.sub_block),
                    column_address.eq(tile_base),
                    kernel_column.eq(Mux(next_row, layer.kernel_w, kernel_column - 1)),
                    last_kernel_column.eq(Mux(next_row, layer.kernel_w == 1, kernel_column == 2)),
                ]
            with m.If(next_row):
                m.d.sync += [
                    kernel_address.eq(tile_base),
                    kernel_row.eq(Mux(next_output, layer.kernel_h, kernel_row - 1)),
                    last_kernel_row.eq(Mux(next_output, layer.kernel_h == 1, kernel_row == 2)),
                ]
            with m.If(next_output):
                m.d.sync += [
                    output_address.eq(tile_base),
                    output_tile.eq(Mux(begin, layer.co_tiles, output_tile - 1)),
                    last_output.eq(Mux(begin, layer.co_tiles == 1, output_tile == 2)),
                ]
        with m.If(self.go):
            m.d.sync += walking.eq(1)
        with m.If(self.stop):
            m.d.sync += walking.eq(0)
        return m
