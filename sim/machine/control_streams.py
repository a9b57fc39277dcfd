"""What the control of a weight-stationary accelerator does in every cycle of a layer.

A signature (`gen.protection.schedule_signature`) of it is written with the descriptor.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.gen.protection.schedule_signature import folded, seed, taps
from holdfast.gen.units.descriptor import lane_offsets
from holdfast.gen.units.lanes import Lanes
from holdfast.gen.units.residual_reader import ResidualReader

from .timeline import DescriptorTimeline

Stream = NDArray[np.int64]


def schedule_seed(run: DescriptorTimeline) -> int:
    """Returns the seed of a descriptor's signature."""
    return seed(folded(run.config, control_streams(run)))


def control_streams(run: DescriptorTimeline) -> dict[str, Stream]:
    """Returns what is observed [cycles], by the names of `gen.protection.schedule_signature.taps`.

    The first cycle is the one after the descriptor is checked, the last that before its last.
    """
    config, layer, timing = run.config, run.descriptor, run.timing
    begin = run.fetch + timing.fetch
    cycles = run.end - begin - 1
    streams = {name: np.zeros(cycles, np.int64) for name in taps(config)}
    start = run.start - begin
    finish = start[run.reductions - 1 :: run.reductions]
    pixels = np.arange(run.pixels)
    every, last = (_flat(first, pixels) for first in (start, finish))

    def mark(name: str, moments: Stream, values: Any = 1) -> None:
        inside = moments < cycles
        values = np.broadcast_to(values, moments.shape)
        streams[name][moments[inside]] |= values[inside]

    addresses, pad, subs = run.inputs
    mark("address", every, addresses.ravel())
    mark("pad", every + 2, np.tile(pad, (run.tiles, 1)).ravel())
    if "sub_block" in streams:
        mark("sub_block", every + 1, np.repeat(np.tile(subs, len(start) // len(subs)), run.pixels))
    rows, cols = np.arange(config.rows), np.arange(config.cols)
    loaded = run.weight_reads[0] - begin
    streams["weight"][:] = (layer.weight_base + _count(_flat(loaded, rows), cycles)) % (1 << 20)
    for row in rows:
        bit = 1 << config.rows - 1 - row
        mark("load", loaded + row + timing.load, bit)
        mark("swap", start + timing.swap + row + config.cols, bit)
    mark("token", every + timing.write, _tokens(run))
    mark(
        "pixel",
        every + timing.token + len(cols) + Lanes.STAGE_E,
        np.tile(np.minimum(pixels, config.acc_depth), len(start)),
    )
    asked = _flat(finish + timing.parameters, cols)
    streams["parameter"][:] = (layer.param_base + _count(asked, cycles)) % (1 << 14)
    streams["lane"][:] = config.cols
    for lane in cols[1:]:
        streams["lane"][_inside(finish + timing.parameters + lane, cycles)] = lane
    taken = last + timing.residual if run.has_residual else last[:0]
    tile = np.arange(run.tiles)
    among = np.repeat(tile, run.pixels) if run.has_residual else np.zeros(len(last), np.int64)
    mark("present", last + timing.residual + ResidualReader.LATENCY, among < layer.res_tiles)
    y, x = np.divmod(pixels, layer.out_w)
    steps = y * layer.res_step_y + x * layer.res_step_x
    walk = _walk(run, layer.res_base, layer.res_lane, steps)
    streams["residual"][:] = walk[0][_count(taken, cycles)]
    written = last + timing.write
    walk_out = _walk(run, layer.out_base, layer.out_lane, pixels * layer.out_step)
    streams["output"][:] = walk_out[0][_count(written, cycles)]
    mark("residual_lane", last + timing.residual + 1, walk[1][among * run.pixels])
    if "output_lane" in streams:
        streams["output_lane"][:] = walk_out[1][_count(written, cycles)]
    banks = 0
    for bank in range(config.act_banks):
        banks |= (1 if layer.input_bank == bank else 2) << (2 * bank)
    banks |= layer.input_bank << (2 * config.act_banks)
    banks |= layer.residual_bank << (2 * config.act_banks + 2)
    streams["banks"][:] = banks
    streams["chained"][:] = 3 * run.chained
    streams["busy"][:] = 1
    return streams


def _flat(first: Stream, offsets: Stream) -> Stream:
    return (first[:, None] + offsets).ravel()


def _inside(moments: Stream, cycles: int) -> Stream:
    return moments[moments < cycles]


def _count(moments: Stream, cycles: int) -> Stream:
    """How many moments are before each cycle."""
    return np.searchsorted(np.sort(moments), np.arange(cycles))


def _tokens(run: DescriptorTimeline) -> Stream:
    """The token of every pixel, as its bits."""
    tiles, reductions, pixels = run.tiles, run.reductions, run.pixels
    reduction = np.tile(np.arange(reductions), tiles)[:, None]
    pixel = np.arange(pixels)
    bits = (np.bool_(True), pixel == 0, pixel == pixels - 1, reduction == 0,
            reduction == reductions - 1)  # fmt: skip
    shape = (tiles * reductions, pixels)
    tokens = sum(np.broadcast_to(bit, shape).astype(np.int64) << at for at, bit in enumerate(bits))
    return np.asarray(tokens).ravel()


def _walk(run: DescriptorTimeline, base: int, lane: int, steps: Stream) -> tuple[Stream, Stream]:
    """Pointer and lane of a tensor's walk after each number of pixels."""
    config = run.config
    tiles = np.arange(run.tiles + 1)
    if len(lane_offsets(config)) == 1:
        word, lanes = tiles, np.zeros_like(tiles)
    else:
        word, lanes = np.divmod(lane + tiles * config.cols, config.word_lanes)
    pointers = (base + word[:, None] + steps) % (1 << 16)
    count = run.tiles * run.pixels + 1
    return pointers.ravel()[:count], np.repeat(lanes, run.pixels)[:count]
