"""Computes what an upset of a held descriptor does that only the requantizers read.

    analysis = SettingsAnalysis(layers, netlist.held)
    effect = analysis.effect(name, bit, cycle)       # None: not covered

Clamps and the residual add are settings of a layer: they change no address and no moment. From the
upset on, every pixel that passes the stage that reads the field is computed with the wrong value.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from holdfast.gen.layout import DESCRIPTOR, Field
from holdfast.gen.roles import Held, Role
from holdfast.gen.units.requantizer import Requantizer
from holdfast.gen.units.round_shift import lift_bits
from holdfast.sim.machine.timeline import DescriptorTimeline as Timeline

from .effect import Effect, Ints
from .layer_outputs import LayerOutputs
from .wrong_codes import WrongCodesAnalysis

_CLAMP, _SCALE, _SHIFT, _OFFSET, _RESULT = 6, 7, 9, 11, 12
"""Cycles from a lane's total to the stages that read a setting."""
_STAGES = {
    "lo": _CLAMP, "hi": _CLAMP, "res_zero": Requantizer.RESIDUAL_STAGE,
    "add_multiplier_a": _SCALE, "add_multiplier_b": _SCALE, "add_shift": _SHIFT,
    "add_zero": _OFFSET, "add_lo": _RESULT, "add_hi": _RESULT, "res_tiles": 0,
}  # fmt: skip


class SettingsAnalysis(WrongCodesAnalysis):
    """Decides upsets of a layer's settings while it runs."""

    def __init__(self, layers: LayerOutputs, held: Mapping[str, Held]):
        super().__init__(layers, held)
        self._codes: dict[int, NDArray[np.int8]] = {}

    def effect(self, name: str, bit: int, cycle: int) -> Effect | None:
        """Returns the effect of one inverted bit, or None where there is no closed form."""
        field, run = self._field(self._held[name], bit), self._run(cycle)
        # Before the first pixel the descriptor is still read and checked.
        if field is None or run is None or cycle < run.start[0]:
            return None
        changed = self._changed(run, field, bit)
        if changed is None:
            return None
        values = self._layers.values(run)
        wrong = copy(values)
        wrong.run = changed
        moments = self._moments(run, field, bit)
        points = np.nonzero((moments >= cycle) & run.mask())
        if field.name in ("lo", "hi"):
            codes = wrong.codes(points, values.sums[points])[0]
        else:
            codes = wrong.added(points, self._convolved(run)[points].astype(np.int64))
        golden = self._layers.golden_codes(run)[0].reshape(moments.shape)
        return self._wrong(run, points, codes, golden[points])

    @staticmethod
    def _field(held: Held, bit: int) -> Field | None:
        if held.role is not Role.DESCRIPTOR_WORD:
            return None
        return next(
            (
                field
                for field in DESCRIPTOR
                if field.name in _STAGES
                and field.word == held.place["word"]
                and field.offset <= bit < field.offset + field.width
            ),
            None,
        )

    def _changed(self, run: Timeline, field: Field, bit: int) -> Timeline | None:
        """The descriptor's run with an inverted bit in a field; None: it is for RTL."""
        width = field.width
        if field.name.startswith("add_multiplier"):
            width = self._config.add_multiplier_bits
        value = getattr(run.descriptor, field.name) ^ 1 << bit - field.offset
        value &= (1 << width) - 1
        if field.signed and value >> width - 1:
            value -= 1 << width
        half = 1 << self._config.act_bits - 1
        if field.signed and not -half <= value < half:
            # What is no code of the accelerator's width is cut.
            return None
        more = min(value, run.tiles) > run.descriptor.res_tiles
        if field.name == "res_tiles" and run.has_residual and more:
            # Behind the residual lies anything, even what the layer has just written.
            return None
        changed = copy(run)
        changed.descriptor = replace(run.descriptor, **{field.name: value})
        changed.__dict__.pop("residuals", None)
        return changed

    def _moments(self, run: Timeline, field: Field, bit: int) -> Ints:
        """Last cycle of an upset that each point sees, [output_tile, pixel, column]."""
        pixels, cols = np.arange(run.pixels)[:, None], np.arange(self._config.cols)
        begin = run.finish[:, None, None] + 0 * pixels
        if field.name == "res_tiles":
            return begin + pixels + run.timing.residual + 0 * cols
        # Settings are a cycle late.
        total = begin + run.timing.accumulate + run.timing.total + cols - 1
        if field.name in ("lo", "hi") and self._config.learnt_guard:
            # They are part of what a lane takes with its first pixel.
            return total + 0 * pixels
        stage = _STAGES[field.name]
        fine = bit - field.offset < lift_bits(self._config.add_multiplier_bits)
        if field.name == "add_shift" and fine:
            stage = _SCALE
        return total + pixels + stage

    def _convolved(self, run: Timeline) -> NDArray[np.int8]:
        """Golden codes before the residual add, [output_tile, pixel, column]."""
        if run.index not in self._codes:
            values = self._layers.values(run)
            points = tuple(axis.ravel() for axis in np.indices(values.sums.shape))
            codes = values.convolved(points, values.sums.ravel())[0]
            self._codes[run.index] = codes.astype(np.int8).reshape(values.sums.shape)
        return self._codes[run.index]
