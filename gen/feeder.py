"""Address generation for the activations of a convolution."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import AcceleratorConfig
from .layer import Layer, Token

__all__ = ["Feeder"]


class Feeder(wiring.Component):
    """Walks output tile, kernel row, kernel column, channel block, output row and column.

    One activation word address per cycle; the convolution's patches are read in place, no im2col
    copy exists. A tile (one step of the four outer loops) streams all output pixels past one weight
    tile.

    Members
    -------
    layer, go
        Descriptor, stable from ``go`` until ``done``.
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

    @property
    def weight_interval(self) -> int:
        """Least cycles between tiles with different weights."""
        return max(self.config.rows, self.config.cols, self.HAZARD)

    def elaborate(self, platform):
        m = Module()
        layer = self.layer

        walking = Signal()
        waiting = Signal()
        column = Signal(9)
        row = Signal(9)
        block = Signal(13)
        sub_block = Signal.like(self.sub_block)
        kernel_column = Signal(5)
        kernel_row = Signal(5)
        output_tile = Signal(14)
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
        elapsed = Signal(range(self.weight_interval + 1))
        gap = Signal(range(self.GAP + 1))

        last_column = column == layer.out_w - 1
        last_pixel = last_column & (row == layer.out_h - 1)
        last_block = block == layer.blocks - 1
        last_kernel_column = kernel_column == layer.kernel_w - 1
        last_kernel_row = kernel_row == layer.kernel_h - 1
        last_reduction = last_block & last_kernel_column & last_kernel_row
        last_tile = last_reduction & (output_tile == layer.co_tiles - 1)
        first_reduction = ~(Cat(block, kernel_column, kernel_row).any())
        first_pixel = ~(Cat(column, row).any())
        needs_weights = ~layer.hold_weights | last_reduction
        chained = (layer.out_w == 1) & (layer.out_h == 1) & ~layer.maximum

        interval = Signal.like(elapsed)
        m.d.comb += interval.eq(
            Mux(needs_weights, self.weight_interval, Mux(chained, 1, self.HAZARD))
        )
        issue = walking & ~waiting
        early = elapsed < interval
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
            next_tile.eq(walking & tile_over & (elapsed >= interval - 1)),
        ]

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
                column.eq(column + 1),
                x.eq(x + layer.stride),
                pixel_address.eq(pixel_address + layer.step_x),
            ]
            with m.If(last_column):
                m.d.sync += [
                    column.eq(0),
                    row.eq(row + 1),
                    x.eq(x_tile),
                    y.eq(y + layer.stride),
                    row_address.eq(row_address + layer.step_y),
                    pixel_address.eq(row_address + layer.step_y),
                ]
            with m.If(last_pixel):
                m.d.sync += waiting.eq(1)
                with m.If(last_reduction):
                    m.d.sync += gap.eq(self.GAP - 1)
                with m.If(last_tile):
                    m.d.sync += [walking.eq(0), self.done.eq(1)]
        with m.If(elapsed != self.weight_interval):
            m.d.sync += elapsed.eq(elapsed + 1)
        with m.If(waiting & (elapsed >= interval) & (gap != 0)):
            m.d.sync += gap.eq(gap - 1)

        base = Signal(16)
        step = Signal(16)
        tile_base = Signal(16)
        m.d.comb += tile_base.eq(base + step)
        with m.If(next_tile):
            m.d.sync += [
                waiting.eq(0),
                gap.eq(0),
                elapsed.eq(0),
                column.eq(0),
                row.eq(0),
                x.eq(x_tile),
                y.eq(y_tile),
                tile_address.eq(tile_base),
                row_address.eq(tile_base),
                pixel_address.eq(tile_base),
                block.eq(block + 1),
            ]
            m.d.comb += base.eq(tile_address)
            if self.config.sub_blocks > 1:
                m.d.comb += step.eq(sub_block == self.config.sub_blocks - 1)
                m.d.sync += sub_block.eq(Mux(step[0], 0, sub_block + 1))
            else:
                m.d.comb += step.eq(1)
            with m.If(last_block):
                m.d.sync += [block.eq(0), sub_block.eq(layer.sub_block)]
                m.d.sync += [kernel_column.eq(kernel_column + 1), column_address.eq(tile_base)]
                m.d.sync += [x.eq(x_tile + layer.dilation), x_tile.eq(x_tile + layer.dilation)]
                m.d.comb += [base.eq(column_address), step.eq(layer.step_kx)]
                with m.If(last_kernel_column):
                    m.d.sync += [kernel_column.eq(0), x.eq(layer.origin_x)]
                    m.d.sync += [x_tile.eq(layer.origin_x)]
                    m.d.sync += [kernel_row.eq(kernel_row + 1), kernel_address.eq(tile_base)]
                    m.d.sync += [y.eq(y_tile + layer.dilation), y_tile.eq(y_tile + layer.dilation)]
                    m.d.comb += [base.eq(kernel_address), step.eq(layer.step_ky)]
                    with m.If(last_kernel_row):
                        m.d.sync += [kernel_row.eq(0), y.eq(layer.origin_y)]
                        m.d.sync += [y_tile.eq(layer.origin_y)]
                        m.d.sync += [output_tile.eq(output_tile + 1), output_address.eq(tile_base)]
                        m.d.comb += [base.eq(output_address), step.eq(layer.input_step)]

        with m.If(self.go):
            m.d.sync += [
                walking.eq(1),
                waiting.eq(0),
                gap.eq(0),
                elapsed.eq(0),
                x.eq(layer.origin_x),
                x_tile.eq(layer.origin_x),
                y.eq(layer.origin_y),
                y_tile.eq(layer.origin_y),
                sub_block.eq(layer.sub_block),
            ]
            m.d.sync += [
                counter.eq(0)
                for counter in (column, row, block, kernel_column, kernel_row, output_tile)
            ]
            m.d.sync += [
                address.eq(layer.input_base)
                for address in (
                    pixel_address,
                    row_address,
                    tile_address,
                    column_address,
                    kernel_address,
                    output_address,
                )
            ]
        with m.If(self.stop):
            m.d.sync += walking.eq(0)
        return m
