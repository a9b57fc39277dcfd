"""Says how long things take in an accelerator, stated once for hardware, timeline and analyses.

T is the cycle in which the dataflow holds a pixel's token and its address is at the bank. All other
moments of a pixel are fixed distances from its T, of column 0 where columns differ: column c is c
cycles later.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from .layout import DESCRIPTOR_WORDS
from .units.lanes import Lanes
from .units.requantizer import Requantizer


@dataclass(frozen=True)
class Latencies(ABC):
    """Cycles that all dataflows have in common.

    Attributes
    ----------
    checked : bool
        Whether a layer ends ``settle`` cycles later, so that protections have seen all of it.
    fetch : int
        Cycles in which a descriptor is fetched and checked.
    stage_b, stage_c, stage_d, total : int
        From the read address of an accumulator to its stages; ``total`` is at its write port.
    """

    rows: int
    cols: int
    checked: bool = False

    fetch = DESCRIPTOR_WORDS + 2
    settle = 2
    stage_b, stage_c, stage_d, total = (
        stage - Lanes.STAGE_A
        for stage in (Lanes.STAGE_A + 1, Lanes.STAGE_C, Lanes.STAGE_D, Lanes.STAGE_E)
    )

    @property
    @abstractmethod
    def sum(self) -> int:
        """Returns the cycles from T to the partial sum at the foot."""

    @property
    def token(self) -> int:
        """Returns the cycles from T to the token at the lanes."""
        return self.sum - Lanes.LEAD

    @property
    def accumulate(self) -> int:
        """Returns the cycles from T to the accumulator memory's read address."""
        return self.token + 1 + Lanes.STAGE_A

    @property
    def parameters(self) -> int:
        """Counts from T of the last reduction's first pixel to the channel's parameter address."""
        return self.token + 1 + Lanes.PARAMETER_STAGE

    @property
    def residual(self) -> int:
        """Counts from T to the residual's address at the bank, the same for all columns."""
        return self.token + 1 + Lanes.STAGE_E + Requantizer.RESIDUAL_STAGE - Lanes.RESIDUAL_READ

    @property
    def write(self) -> int:
        """Counts from T to the code at the bank's write port, the same for all columns."""
        return self.token + Lanes.latency(self.cols)

    @property
    def drain(self) -> int:
        """From T of a layer's last pixel until its output is in memory, and checked."""
        return self.write + 1 + self.settle * self.checked
