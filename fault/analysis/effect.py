"""Says what a fault has made of the layer that it struck."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from holdfast.fault.outcome.pattern import SumChange
from holdfast.nn.compiler.program import Step

Ints = NDArray[np.int64]


@dataclass
class Effect:
    """Holds what is wrong once a layer has ended.

    Attributes
    ----------
    step : Step or None
        The layer; None if nothing was read.
    tensors : dict
        By stored tensor, flat indices and faulty codes.
    counts : int
        Guard violations in the layer beyond the golden run's.
    summed : bool
        Accumulators or requantizer saw a difference.
    rtl : int or None
        The closed form does not cover it: the first cycle in which something differs beside the
        words; the fault can be injected there.
    sums : list of SumChange or None
        What is wrong in the layer's sums, if nothing else is: only with
        `LayerOutputs.keeps_sums`.
    """

    step: Step | None = None
    tensors: dict[str, tuple[Ints, NDArray[np.int8]]] = field(default_factory=dict)
    counts: int = 0
    summed: bool = False
    rtl: int | None = None
    sums: list[SumChange] | None = None

    @property
    def key(self) -> tuple:
        """Is equal for equal effects."""
        name = self.step.name if self.step else ""
        parts = ((n, i.tobytes(), c.tobytes()) for n, (i, c) in sorted(self.tensors.items()))
        return name, *parts
