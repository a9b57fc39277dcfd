"""Says what an injector finds that simulates one slice of the reduction and requantizes it alone.

    analysis = RegisterFaultAnalysis(layers, netlist.held, SlicePoints(layers))

What ENFOR-SA's convolution does (`shortcuts`), in the terms of the integer contract, for
every pixel p and channel c that the upset changes in the slice that it strikes first, s being the
sum over that slice alone and d what the upset adds to it:

1. Both the golden and the faulty slice are taken for the whole sum:
   ``q(s) = rs((s + bias) * M, S) + zp_out``, with zero points already taken off the activations,
   and the channel's whole bias. Of a layer with a ReLU, q is clamped; of one without, it is cut to
   the bits of a code, as the conversion to an 8-bit integer does.
2. The convolution's golden code y becomes ``y - q(s) + q(s + d)`` modulo 2**act_bits: neither the
   difference nor the sum saturates.

A residual addition then takes that code. Later slices are left out; with ``tile``, so are
the pixels beyond the block of DIM: of a weight, most of those that it serves.
"""

import numpy as np

from holdfast.fault.analysis.effect import Effect, Ints
from holdfast.fault.analysis.layer_outputs import LayerOutputs
from holdfast.sim.machine.layer_values import wrap
from holdfast.sim.machine.timeline import DescriptorTimeline


class SlicePoints:
    """Decides what differences of sums do by the slice alone; ``tile``: by its block of pixels."""

    def __init__(self, layers: LayerOutputs, tile: bool = False):
        self._layers, self._tile = layers, tile

    def __call__(
        self, run: DescriptorTimeline, tile: Ints, pixel: Ints, col: Ints, difference: Ints
    ) -> Effect:
        layers = self._layers
        tile, pixel, col, difference = (
            part.ravel() for part in np.broadcast_arrays(tile, pixel, col, difference)
        )
        bits, descriptor = layers.config.act_bits, run.descriptor
        block = pixel // layers.config.rows
        near = (block == block[0]) | (not self._tile)
        struck = (tile == tile[0]) & near & run.mask()[col]
        tile, pixel, col, difference = (part[struck] for part in (tile, pixel, col, difference))
        points = tile // run.reductions, pixel, col
        values = layers.values(run)
        golden, _ = values.convolved(points, values.sums[points])
        sums = values.slices(tile, pixel, col)
        alone = values.scaled(points, sums)
        faulty = values.scaled(points, wrap(sums + difference, layers.config.acc_bits))
        if descriptor.lo == descriptor.zero_out:
            alone, faulty = (np.clip(v, descriptor.lo, descriptor.hi) for v in (alone, faulty))
        spliced = wrap(golden - alone + faulty, bits)
        codes = values.added(points, spliced)
        changed = codes != values.added(points, golden)
        tensors = layers.tensors(run, [axis[changed] for axis in points], codes[changed])
        return Effect(rtl=run.fetch) if tensors is None else Effect(run.step, tensors, summed=True)
