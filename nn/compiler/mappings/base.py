"""Says what a mapping is given and what it makes of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import Descriptor
from holdfast.nn.compiler.operation import Operation
from holdfast.nn.compiler.program import Place, Step
from holdfast.nn.graph.graph import Graph


@dataclass(frozen=True)
class Layer:
    """Holds a step, what it computes, and where all tensors lie."""

    graph: Graph
    config: AcceleratorConfig
    step: Step
    operation: Operation
    places: Mapping[str, Place]

    @property
    def source(self) -> Place:
        """Returns the place of the tensor that enters the array."""
        return self.places[self.step.reads[0]]

    @property
    def target(self) -> Place:
        """Place of the tensor that is written."""
        return self.places[self.step.target]


@dataclass(frozen=True)
class Room:
    """Words of weights and channels of parameters that a piece may have at most."""

    weights: int
    channels: int


@dataclass(frozen=True)
class Piece:
    """Descriptors with the weights and parameters that they share.

    Attributes
    ----------
    descriptors : tuple of Descriptor
        With ``weight_base`` and ``param_base`` of zero; the compiler fills them in.
    weights : int8 [words, cols]
    parameters : list of list of int
        The bus words of each channel.
    """

    descriptors: tuple[Descriptor, ...]
    weights: NDArray[np.int8]
    parameters: list[list[int]]


LayerMapping = Callable[[Layer, Room], Iterator[Piece]]
"""Yields the pieces of a layer in the order in which they run.

It raises HoldfastError where the layer needs more than the accelerator has.
"""
