"""Says what the accelerator computes in one descriptor's run of one image: operands, sums, codes.

Everything is at the level of the hardware: memory words, lanes, tiles, so that convolutions,
poolings and copies are the same thing. ``points`` are index arrays (output_tile, pixel, column).
"""

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from holdfast.nn.compiler.program import Program
from holdfast.nn.graph.guard_modes import GuardSettings
from holdfast.nn.graph.rounding import round_shift

from .banks import banks_before
from .timeline import DescriptorTimeline

Ints = NDArray[np.int64]
Points = tuple[Ints, ...]


class Parameters:
    """Holds channel parameters as the memories do.

    Attributes
    ----------
    words : dict of int64
        By memory: ``bias``, ``scale``, ``bounds``; unsigned words, one per channel.
    """

    def __init__(self, acc_bits: int, multiplier_bits: int, guard_bits: int, slots: Ints):
        self.acc_bits, self.multiplier_bits = acc_bits, multiplier_bits
        self.guard_bits = guard_bits
        mask = (1 << guard_bits) - 1
        self.words = {
            "bias": slots[..., 0] & (1 << acc_bits) - 1,
            "scale": (slots[..., 1] & (1 << multiplier_bits) - 1)
            | (slots[..., 1] >> 24 & 63) << multiplier_bits,
            "bounds": (slots[..., 2] & mask) | (slots[..., 2] >> 16 & mask) << guard_bits,
        }

    @property
    def bias(self) -> Ints:
        return wrap(self.words["bias"], self.acc_bits)

    @property
    def multiplier(self) -> Ints | int:
        if not self.multiplier_bits:
            return 1
        return self.words["scale"] & (1 << self.multiplier_bits) - 1

    @property
    def shift(self) -> Ints:
        return self.words["scale"] >> self.multiplier_bits

    @property
    def bounds(self) -> tuple[Ints, Ints]:
        word = self.words["bounds"]
        return wrap(word, self.guard_bits), wrap(word >> self.guard_bits, self.guard_bits)

    def at(self, index: Ints | tuple[Ints, ...]) -> "Parameters":
        """Selects some channels."""
        chosen = Parameters.__new__(Parameters)
        chosen.__dict__.update(self.__dict__)
        chosen.words = {name: words[index] for name, words in self.words.items()}
        return chosen


class LayerValues:
    """Computes golden values of a run.

    Parameters
    ----------
    golden : Mapping
        Golden codes [C, H, W] of every node, the image's among them.
    """

    def __init__(
        self,
        program: Program,
        run: DescriptorTimeline,
        guard: GuardSettings,
        golden: Mapping[str, NDArray[np.int8]],
    ):
        self.program, self.run, self.guard = program, run, guard
        self.config = program.config
        self._golden = golden

    @cached_property
    def banks(self) -> NDArray[np.int8]:
        """Returns activation memories when the step starts."""
        return banks_before(self.program, self.run.step, self._golden)

    @cached_property
    def activations(self) -> NDArray[np.int8]:
        """Returns what enters the array, int8 [tile, pixel, row], behind the guard, padded."""
        run, rows = self.run, self.config.rows
        addresses, pad, subs = run.inputs
        bank = self.banks[run.descriptor.input_bank]
        inside = ~np.tile(pad, (run.tiles, 1))
        result = np.full((*addresses.shape, rows), run.descriptor.pad_value, np.int8)
        for sub in np.unique(subs):
            chosen = inside & (subs == sub)[:, None]
            words = bank[addresses[chosen], sub * rows : (sub + 1) * rows]
            result[chosen] = self.admit(words.astype(np.int64))[0]
        return result

    def admit(self, codes: Ints) -> tuple[Ints, Ints]:
        """Returns codes behind the input guard, and how many it replaced in each (0 or 1)."""
        if not self.guard.input:
            return codes, np.zeros_like(codes)
        descriptor = self.run.descriptor
        inside = np.clip(codes, descriptor.input_lo, descriptor.input_hi)
        bad = inside != codes
        return np.where(bad & self.guard.zero, descriptor.zero_in, inside), bad.astype(np.int64)

    @cached_property
    def weights(self) -> NDArray[np.int8]:
        """Returns the weights, int8 [loaded tile, row, column]."""
        _, words = self.run.weight_reads
        chunk = self.program.chunks[0]
        rows = words[:, None] + np.arange(self.config.rows) - chunk.weight_base
        return chunk.weights[rows]

    @cached_property
    def sums(self) -> Ints:
        """Totals before the bias, int64 [output_tile, pixel, column]; not for ``maximum``."""
        run = self.run
        used = self.weights[run.weight_tiles]
        products = np.matmul(self.activations.astype(np.float64), used.astype(np.float64))
        totals = products.reshape(run.tiles, run.reductions, run.pixels, -1).sum(1)
        return wrap(totals.astype(np.int64), self.config.acc_bits)

    @cached_property
    def parameters(self) -> Parameters:
        """Returns the parameters, [output_tile, column]."""
        cfg, run = self.config, self.run
        chunk = self.program.chunks[0]
        first = run.descriptor.param_base - chunk.param_base
        slots = chunk.parameters[first : first + run.tiles * cfg.cols].astype(np.int64)
        slots = slots.reshape(run.tiles, cfg.cols, 4)
        return Parameters(cfg.acc_bits, cfg.multiplier_bits, cfg.guard_bits, slots)

    def residual(self, points: Points) -> Ints:
        """Returns residual codes."""
        run = self.run
        output_tile, pixel, col = points
        words, lanes = run.residuals
        result = np.full(len(output_tile), run.descriptor.res_zero, np.int64)
        there = output_tile < len(words)
        t, p, c = output_tile[there], pixel[there], col[there]
        result[there] = self.banks[run.descriptor.residual_bank, words[t, p, c], lanes[t, c]]
        return result

    def slices(self, tile: Ints, pixel: Ints, col: Ints) -> Ints:
        """Sums of one slice of the reduction alone, to which the bias has yet to be added.

        As if there were no other slices: the bias holds ``-zp_in * sum(w)`` of all of them, of
        which the others' part is taken back.
        """
        run = self.run
        loaded = tile // run.reductions if run.hold else tile
        weights = self.weights[loaded, :, col].astype(np.int64)
        sums = (self.activations[tile, pixel] * weights).sum(1)
        others = self._weight_sums[tile // run.reductions, col] - weights.sum(1)
        return wrap(sums + run.descriptor.zero_in * others, self.config.acc_bits)

    @cached_property
    def _weight_sums(self) -> Ints:
        """Sums the weights of all slices, [output_tile, column]."""
        run = self.run
        loaded = self.weights.astype(np.int64).sum(1)
        if run.hold:
            return loaded * run.reductions
        return loaded.reshape(run.tiles, run.reductions, -1).sum(1)

    def scaled(self, points: Points, sums: Ints, parameters: Parameters | None = None) -> Ints:
        """Totals with bias, multiplier, shift and zero point, neither guarded nor clamped."""
        output_tile, _, col = points
        p = self.parameters.at((output_tile, col)) if parameters is None else parameters
        v = wrap(sums + p.bias, self.config.acc_bits) * p.multiplier
        return round_shift(v, p.shift, self.config.rounding) + self.run.descriptor.zero_out

    def convolved(
        self, points: Points, sums: Ints, parameters: Parameters | None = None
    ) -> tuple[Ints, Ints]:
        """Returns what `codes` does, before the residual."""
        run, cfg, descriptor = self.run, self.config, self.run.descriptor
        output_tile, _, col = points
        p = self.parameters.at((output_tile, col)) if parameters is None else parameters
        v = self.scaled(points, sums, p)
        widest = 1 << cfg.guard_bits - 1
        v = np.clip(v, -widest, widest - 1)
        bad = np.zeros(len(v), np.int64)
        if self.guard.output:
            low, high = p.bounds
            # Below wins where bounds are crossed.
            inside = np.where(v < low, low, np.minimum(v, high))
            outside = ((v < low) | (v > high)) & run.mask()[col]
            bad = outside.astype(np.int64)
            v = np.where(outside, descriptor.zero_out if self.guard.zero else inside, v)
        return _clamp(v, descriptor.lo, descriptor.hi), bad

    def added(self, points: Points, codes: Ints, residual: Ints | None = None) -> Ints:
        """Codes with the residual, where there is one."""
        descriptor = self.run.descriptor
        if not self.run.has_residual:
            return codes
        r = self.residual(points) if residual is None else residual
        v = (codes - descriptor.zero_out) * descriptor.add_multiplier_a
        v = v + (r - descriptor.res_zero) * descriptor.add_multiplier_b
        v = round_shift(v, np.int64(descriptor.add_shift), self.config.rounding)
        v = v + descriptor.add_zero
        return _clamp(v, descriptor.add_lo, descriptor.add_hi)

    def codes(
        self,
        points: Points,
        sums: Ints,
        parameters: Parameters | None = None,
        residual: Ints | None = None,
    ) -> tuple[Ints, Ints]:
        """Returns output codes of totals, and whether the output guard replaced them.

        Parameters
        ----------
        parameters : Parameters, optional
            Of every point, instead of the golden ones.
        residual : int64, optional
            Of every point, instead of the golden ones.
        """
        codes, bad = self.convolved(points, sums, parameters)
        return self.added(points, codes, residual), bad


def signed(value: int, bits: int) -> int:
    """Returns the lowest bits of a word as a signed code."""
    half = 1 << bits - 1
    return (value + half & (1 << bits) - 1) - half


def wrap(values: Ints, bits: int) -> Ints:
    """Returns a value modulo 2**bits, signed."""
    half = 1 << bits - 1
    return (values + half & (1 << bits) - 1) - half


def _clamp(v: Ints, low: int, high: int) -> Ints:
    return np.where(v < low, low, np.minimum(v, high))
