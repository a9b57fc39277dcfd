"""Says what a dataflow gives the accelerator: the hardware between activation memory and lanes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from amaranth.hdl import Module, Value

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.latencies import Latencies
from holdfast.gen.units.sequencer import Sequencer


class Dataflow(ABC):
    """Reads a layer's activations and weights and sums their products, column by column.

    A member lists itself in ``DATAFLOWS`` by its name, which ``AcceleratorConfig.dataflow`` holds.

    Attributes
    ----------
    latencies : type of Latencies
        Its latencies, of rows and columns.
    units : dict
        The components, by their names in the accelerator.
    address, pad, token : Value
        Word of the input bank that is read, whether it is padding, and the pixel's ``Token``.
    weight_address, weight_next, weight_active : Value
        Word of the weight memory, what it will be in the next cycle, and whether it is read.
    sums : Value
        Partial sums at the foot of each column, column c one cycle after column c-1.
    activity : dict of Value
        What this cycle is spent on, by names of ``layout.COUNTERS``.
    """

    name: ClassVar[str]
    latencies: ClassVar[type[Latencies]]
    units: dict[str, Any]
    address: Value
    pad: Value
    token: Any
    weight_address: Value
    weight_next: Value
    weight_active: Value
    sums: Value
    activity: Mapping[str, Value]

    @abstractmethod
    def __init__(self, config: AcceleratorConfig): ...

    @abstractmethod
    def connect(self, m: Module, sequencer: Sequencer, word: Value, weights: Value) -> None:
        """Connects the units.

        Parameters
        ----------
        sequencer
            Gives the descriptor and the pulses that begin and stop it; takes ``feeder_done`` with
            the layer's last pixel.
        word
            Of the input bank, one cycle after its address.
        weights
            Of the weight memory, ``WeightLoader.LATENCY`` cycles after its address.
        """
