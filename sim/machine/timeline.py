"""Tells when the hardware does what in one descriptor, from the program alone.

Cycle 0 follows the edge that accepts the start write. T is the cycle in which the dataflow holds a
pixel's token and its address is at the bank; all other moments of a pixel are fixed distances from
its T, which `gen.latencies` names. A dataflow's own timeline is a file with a subclass, listed in
`sim.machine.schedule`. A test compares every read and write with the running RTL.
"""

from abc import ABC, abstractmethod
from collections import Counter
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.dataflow.registry import latencies
from holdfast.gen.layout import Descriptor
from holdfast.gen.units.descriptor import lane_offsets
from holdfast.nn.compiler.program import Step

_ADDRESSES = 1 << 16


class DescriptorTimeline(ABC):
    """Times one descriptor's run.

    A tile is one output tile with one reduction tile (kernel row, kernel column, channel block),
    number ``output_tile * reductions + reduction_tile``; it streams all output pixels.

    Attributes
    ----------
    step, index, descriptor
        The layer, the descriptor's number in the program, the descriptor.
    fetch : int
        First cycle in which the descriptor is fetched; word k's address is at the program memory
        in cycle ``fetch + k``.
    end : int
        Cycle in which the next descriptor is fetched, or the run has ended.
    tiles, reductions, pixels : int
        Output tiles, reductions of each, output pixels.
    timing : Latencies
        Those of the accelerator's dataflow.
    """

    def __init__(
        self, config: AcceleratorConfig, step: Step, index: int, descriptor: Descriptor, fetch: int
    ):
        self.config = config
        self.step = step
        self.index = index
        self.descriptor = descriptor
        self.fetch = fetch
        self.end = fetch + self.spent(config, descriptor).total()
        self.tiles = descriptor.co_tiles
        self.reductions = descriptor.reductions
        self.pixels = descriptor.pixels
        self.hold = bool(descriptor.hold_weights)
        self.maximum = bool(descriptor.maximum)
        self.chained = self.pixels == 1 and not self.maximum
        self.timing: Any = latencies(config)

    @classmethod
    @abstractmethod
    def spent(cls, config: AcceleratorConfig, descriptor: Descriptor) -> Counter[str]:
        """Predicts the cycles of a descriptor by register name of `gen.layout.COUNTERS`.

        Exact for a descriptor whose host does not let it wait (``ready``).
        """

    @property
    @abstractmethod
    def start(self) -> NDArray[np.int64]:
        """Returns T of each tile's first pixel, [output_tile * reductions + reduction_tile]."""

    @property
    @abstractmethod
    def weight_reads(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns when row 0 of each loaded weight tile is addressed, and its word address."""

    @abstractmethod
    def weight_tile(self, tile: int) -> int:
        """Returns which loaded weight tile a tile uses."""

    @cached_property
    def weight_tiles(self) -> NDArray[np.int64]:
        """Returns the loaded weight tile of every tile, ascending."""
        return np.array([self.weight_tile(tile) for tile in range(len(self.start))])

    @cached_property
    def _bases(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Word address of pixel 0 and sub-block of every tile, as the feeder walks."""
        descriptor, sub_blocks = self.descriptor, self.config.sub_blocks
        addresses, subs = [], []
        output = descriptor.input_base
        for output_tile in range(self.tiles):
            if output_tile:
                output += descriptor.input_step
            row = output
            for ky in range(descriptor.kernel_h):
                if ky:
                    row += descriptor.step_ky
                column = row
                for kx in range(descriptor.kernel_w):
                    if kx:
                        column += descriptor.step_kx
                    address, sub = column, descriptor.sub_block
                    for _ in range(descriptor.blocks):
                        addresses.append(address % _ADDRESSES)
                        subs.append(sub)
                        sub += 1
                        if sub == sub_blocks:
                            sub, address = 0, address + 1
        return np.array(addresses), np.array(subs)

    @cached_property
    def inputs(self) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
        """Word addresses [tile, pixel], where padding is [reduction, pixel], sub-blocks [tile]."""
        descriptor = self.descriptor
        bases, subs = self._bases
        y, x = np.divmod(np.arange(self.pixels), descriptor.out_w)
        offsets = y * descriptor.step_y + x * descriptor.step_x
        addresses = (bases[:, None] + offsets) % _ADDRESSES
        reduction_tile = np.arange(self.reductions)
        ky, kx = np.divmod(reduction_tile // descriptor.blocks, descriptor.kernel_w)
        in_y = descriptor.origin_y + ky[:, None] * descriptor.dilation + y * descriptor.stride
        in_x = descriptor.origin_x + kx[:, None] * descriptor.dilation + x * descriptor.stride
        pad = (in_y < 0) | (in_y >= descriptor.in_h) | (in_x < 0) | (in_x >= descriptor.in_w)
        return addresses, pad, subs

    @cached_property
    def _readers(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Input words that are read, sorted, and the flat [tile, pixel] index of each read."""
        addresses, pad, _ = self.inputs
        flat = np.flatnonzero(~np.tile(pad, (self.tiles, 1)).ravel())
        words = addresses.ravel()[flat]
        order = np.argsort(words, kind="stable")
        return words[order], flat[order]

    def input_reads(
        self, words: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Returns every read of some words of the input bank, padding left out: the word's position
        in ``words``, tile and pixel.
        """
        read, flat = self._readers
        low, high = np.searchsorted(read, words), np.searchsorted(read, words, side="right")
        count = high - low
        which = np.repeat(np.arange(len(words)), count)
        within = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
        return which, *np.divmod(flat[low[which] + within], self.pixels)

    def _words(
        self, base: int, lane: int, step_x: int, step_y: int, columns: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Words [output_tile, pixel, column] and lanes [output_tile, column] of a tensor."""
        cfg = self.config
        offsets = lane + np.arange(self.tiles) * cfg.cols
        if len(lane_offsets(cfg)) == 1:
            tile_word, tile_lane = np.arange(self.tiles), np.zeros(self.tiles, np.int64)
        else:
            tile_word, tile_lane = np.divmod(offsets, cfg.word_lanes)
        y, x = np.divmod(np.arange(self.pixels), columns)
        pixel = y * step_y + x * step_x
        position = tile_lane[:, None] + np.arange(cfg.cols)
        word = (
            (base + tile_word)[:, None, None] + pixel[:, None] + position[:, None] // cfg.word_lanes
        )
        return word % _ADDRESSES, position % cfg.word_lanes

    @cached_property
    def outputs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Words [output_tile, pixel, column] and lanes [output_tile, column] that are written
        where the lane mask says so.
        """
        d = self.descriptor
        return self._words(d.out_base, d.out_lane, d.out_step, d.out_step, 1)

    @cached_property
    def residuals(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Words [output_tile, pixel, column] and lanes [output_tile, column] of the residual, for
        the output tiles that have one.
        """
        d = self.descriptor
        words, lanes = self._words(d.res_base, d.res_lane, d.res_step_x, d.res_step_y, d.out_w)
        return words[: d.res_tiles], lanes[: d.res_tiles]

    @property
    def has_residual(self) -> bool:
        return bool(self.descriptor.residual)

    def mask(self) -> NDArray[np.bool_]:
        """Columns that are written."""
        return (self.descriptor.lane_mask >> np.arange(self.config.cols) & 1).astype(bool)

    @cached_property
    def finish(self) -> NDArray[np.int64]:
        """Returns T of pixel 0 of each output tile's last reduction, [output_tile]."""
        return self.start[self.reductions - 1 :: self.reductions]

    def _table(
        self, words: NDArray[np.int64], lanes: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Flat index [output_tile, pixel, column] of what visits each word's lane, or -1."""
        cfg = self.config
        table = np.full((cfg.act_depth, cfg.word_lanes), -1)
        shape = (len(words), self.pixels, cfg.cols)
        visits = np.arange(words.size).reshape(shape)[:, :, columns]
        table[words[:, :, columns], np.broadcast_to(lanes[:, None, columns], visits.shape)] = visits
        return table

    @cached_property
    def _writers(self) -> NDArray[np.int64]:
        return self._table(*self.outputs, np.flatnonzero(self.mask()))

    def write_cycles(self, words: NDArray[np.int64], lane: int) -> NDArray[np.int64]:
        """Cycle in which words of a lane of the output bank are at the write port, or -1."""
        visits = self._writers[words, lane]
        output_tile, pixel, _ = np.unravel_index(
            np.maximum(visits, 0), (self.tiles, self.pixels, self.config.cols)
        )
        return np.where(visits < 0, -1, self.finish[output_tile] + pixel + self.timing.write)

    @cached_property
    def _residual_readers(self) -> NDArray[np.int64]:
        return self._table(*self.residuals, np.arange(self.config.cols))

    def residual_reads(self, words: NDArray[np.int64], lane: int) -> NDArray[np.int64]:
        """Returns the index [output_tile, pixel, column] of the code that adds a word, or -1."""
        return self._residual_readers[words, lane]
