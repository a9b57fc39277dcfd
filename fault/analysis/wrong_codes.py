"""Decides upsets that change codes where requantizers make them, and nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from holdfast.fault.model.fault import Fault
from holdfast.gen.roles import Held
from holdfast.nn.graph.graph import ConcatNode
from holdfast.sim.machine.timeline import DescriptorTimeline as Timeline

from .effect import Effect, Ints
from .layer_outputs import LayerOutputs
from .resolver import Decision


class WrongCodesAnalysis(ABC):
    """A closed form of upsets whose only trace is wrong codes of a layer.

    Parameters
    ----------
    held : Mapping
        What registers are for, by name.
    """

    def __init__(self, layers: LayerOutputs, held: Mapping[str, Held]):
        self._layers, self._held = layers, held
        self._config = layers.config

    def resolve(self, fault: Fault) -> Decision | None:
        """Decides one inverted bit."""
        if not fault.single:
            return None
        name, _, bit = fault.site
        effect = self.effect(name, bit, fault.cycle)
        if effect is None:
            return None
        return Decision("closed", effect, died="" if effect.tensors else "array")

    @abstractmethod
    def effect(self, name: str, bit: int, cycle: int) -> Effect | None:
        """Returns the effect of one inverted bit, or None where there is no closed form."""

    def _run(self, cycle: int) -> Timeline | None:
        """A cycle's run; None where its codes do not tell all.

        A guard counts what it sees, in cycles that are told. A maximum has no requantizers, and
        parts of a concatenation are copied later.
        """
        run = self._layers.schedule.at(cycle)
        concatenated = isinstance(self._layers.program.graph[run.step.target], ConcatNode)
        return None if run.maximum or concatenated or self._layers.guard.on else run

    def _wrong(
        self, run: Timeline, points: Sequence[Ints], codes: Ints, golden: NDArray[Any]
    ) -> Effect | None:
        """The effect of codes that points get instead of golden ones."""
        hit = codes != golden
        tensors = self._layers.tensors(run, [axis[hit] for axis in points], codes[hit])
        if tensors is None:
            return None
        return Effect(run.step, tensors) if tensors else Effect()
