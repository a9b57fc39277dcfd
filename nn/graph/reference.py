"""Keeps what the golden model computes of one image, to be read without PyTorch.

reference = Reference.computed(golden, codes)
reference.save(folder)
reference = Reference.load(folder, graph)        # mapped, shared by all processes that do
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .golden import Golden, GoldenOutputs
from .graph import Graph

_CODES, _VIOLATIONS = "codes.npy", "violations.npy"


@dataclass(frozen=True)
class Reference:
    """Holds the golden run on an image.

    Attributes
    ----------
    codes : Mapping of int8 [C, H, W]
        By node, in the graph's order.
    violations : Mapping of int
        Values outside the output guard's bounds, by layer where it is on.
    """

    codes: Mapping[str, NDArray[np.int8]]
    violations: Mapping[str, int]

    @classmethod
    def of(cls, found: GoldenOutputs) -> "Reference":
        """Takes a golden run on one image of which all nodes were kept."""
        return cls(
            {name: output[0].numpy() for name, output in found.outputs.items()},
            {name: int(count) for name, count in found.output_violations.items()},
        )

    @classmethod
    def computed(cls, golden: Golden, codes: NDArray[np.int8]) -> "Reference":
        """Computes the golden run on an image's codes, int8 [C, H, W]."""
        import torch

        return cls.of(golden.run(torch.from_numpy(np.ascontiguousarray(codes))[None]))

    def save(self, folder: Path) -> None:
        """Writes two files: all codes, and the violations of every node."""
        counts = [self.violations.get(name, -1) for name in self.codes]
        np.save(folder / _CODES, np.concatenate([part.ravel() for part in self.codes.values()]))
        np.save(folder / _VIOLATIONS, np.array(counts, np.int64))

    @classmethod
    def load(cls, folder: Path, graph: Graph) -> "Reference":
        """Maps saved codes of a graph's nodes."""
        whole = np.load(folder / _CODES, mmap_mode="r")
        counts = np.load(folder / _VIOLATIONS)
        ends = np.cumsum([math.prod(node.shape) for node in graph.nodes])
        parts = zip(graph.nodes, np.split(whole, ends[:-1]), strict=True)
        return cls(
            {node.name: part.reshape(node.shape) for node, part in parts},
            {n.name: int(c) for n, c in zip(graph.nodes, counts, strict=True) if c >= 0},
        )
