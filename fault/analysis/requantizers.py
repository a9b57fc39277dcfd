"""Computes what an upset of a bias, or of a multiplier, on its way to a lane's pixels does.

    analysis = RequantizerAnalysis(layers, netlist.held)
    effect = analysis.effect(name, bit, cycle)       # None: not covered

A lane takes its channel's parameters with the first pixel that it finishes, and keeps them to the
last. A wrong bit of them is in every pixel that has yet to be requantized.
"""

from collections.abc import Mapping

import numpy as np

from holdfast.gen.roles import Held, Role
from holdfast.gen.units.lane_setup import lane_parameters
from holdfast.gen.units.round_shift import lift_bits
from holdfast.sim.machine.layer_values import Parameters

from .effect import Effect, Ints
from .layer_outputs import LayerOutputs
from .wrong_codes import WrongCodesAnalysis


class _Lifted(Parameters):
    """One channel's parameters as its requantizer has them: `gen.units.round_shift.lift`."""

    def __init__(self, channel: Parameters, lifted: int):
        self.__dict__.update(channel.__dict__)
        self._flipped = 0
        self._step = 1 << lifted

    def flip(self, field: str, bit: int) -> None:
        """Inverts a bit of the bias or of the lifted multiplier."""
        if field == "bias":
            self.words = {**self.words, "bias": self.words["bias"] ^ 1 << bit}
        else:
            self._flipped = 1 << bit

    @property
    def multiplier(self) -> Ints | int:
        fine = super().shift % self._step
        return (super().multiplier << self._step - 1 >> fine) ^ self._flipped

    @property
    def shift(self) -> Ints:
        return super().shift | self._step - 1


class RequantizerAnalysis(WrongCodesAnalysis):
    """Decides upsets of the lanes' biases and multipliers."""

    def __init__(self, layers: LayerOutputs, held: Mapping[str, Held]):
        super().__init__(layers, held)
        self._fields = lane_parameters(layers.config)

    def effect(self, name: str, bit: int, cycle: int) -> Effect | None:
        """Returns the effect of one inverted bit, or None where there is no closed form."""
        held, run = self._held[name], self._run(cycle)
        found = self._field(held, bit)
        if found is None or run is None:
            return None
        field, bit, late = found
        col = int(held.place["lane"])
        taken = run.finish + run.timing.accumulate + run.timing.total + col + late
        tau = int(np.searchsorted(taken, cycle, side="right")) - 1
        if tau < 0 or cycle - int(taken[tau]) >= run.pixels or not run.mask()[col]:
            return Effect()
        pixels = np.arange(cycle - int(taken[tau]), run.pixels)
        points = tuple(np.broadcast_arrays(np.array(tau), pixels, np.array(col)))
        values = self._layers.values(run)
        lifted = lift_bits(self._config.multiplier_bits)
        wrong = _Lifted(values.parameters.at((points[0], points[2])), lifted)
        wrong.flip(field, bit)
        sums = values.sums[points]
        codes = values.codes(points, sums, wrong)[0]
        return self._wrong(run, points, codes, values.codes(points, sums)[0])

    def _field(self, held: Held, bit: int) -> tuple[str, int, int] | None:
        """Which parameter a bit is of, which bit of it, and how much later it is taken."""
        if held.role is Role.LANE_BIAS:
            return "bias", bit, 0
        if held.role is Role.LANE_PARAMETERS and self._config.multiplier_bits:
            field = self._fields["multiplier"]
            if 0 <= bit - field.offset < field.width:
                return "multiplier", bit - field.offset, 1
        return None
