"""Processing elements with a stuck bit in their weight register."""

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown
from holdfast.gen.config import AcceleratorConfig

from .base import RatedModel, bernoulli_positions, signed


class StuckPEs(RatedModel):
    """Holds a bit of some processing elements' weight registers, mapped through the schedule.

    In the weight-stationary array the weight from input channel i to output channel o sits in row
    ``i % rows`` and column ``o % cols``, in every layer: a permanent fault meets all weights of
    that class, and the rows that a layer leaves unused. Each element is faulty with probability p,
    in one bit drawn uniformly, stuck at 0 or at 1. Every pass draws anew. ``stuck-pes``
    is of an 8x8 array, ``stuck-pes:4x16`` of another.

    Only convolutions without groups are affected. A first layer whose kernel columns the program
    packs into channels is treated as if they were not.

    Parameters
    ----------
    rate : float
        p, per processing element.
    rows, cols : int
        Size of the array.
    """

    name = "stuck-pes"
    parameter = "ROWSxCOLS"
    of_array = True

    def __init__(self, rate: float, seed: int = 0, *, rows: int = 8, cols: int = 8) -> None:
        super().__init__(rate, seed)
        self.rows, self.cols = rows, cols
        self.stuck: list[tuple[int, int, int, int]] = []

    @classmethod
    def named(cls, parameter: str | None, rate: float, seed: int) -> RatedModel:
        if parameter is None:
            return cls(rate, seed)
        size = re.fullmatch(r"(\d{1,4})x(\d{1,4})", parameter)
        if not size:
            raise HoldfastError(
                f"{shown(f'{cls.name}:{parameter}')} must name its array as in {cls.name}:4x16."
            )
        array = AcceleratorConfig(rows=int(size[1]), cols=int(size[2]))
        return cls(rate, seed, rows=array.rows, cols=array.cols)

    def start(self, sizes: Mapping[str, int], images: int, bits: int, device: torch.device) -> None:
        generator = self.generator(torch.device("cpu"))
        elements = bernoulli_positions(self.rows * self.cols, self.rate, generator).tolist()
        # 840 is a multiple of every width of a weight
        draws = torch.randint(0, 2 * 840, (len(elements),), generator=generator).tolist()
        self.stuck = [
            (*divmod(element, self.cols), draw // 2, draw % 2)
            for element, draw in zip(elements, draws, strict=True)
        ]

    def weights(self, codes: Tensor, bits: int) -> Tensor:
        if not self._affects(codes):
            return codes
        return self._held(codes, bits)[:, : codes.shape[1]].to(codes.dtype)

    def zero_point_correction(self, codes: Tensor, bits: int) -> Tensor | None:
        if not self._affects(codes):
            return None
        return self._held(codes, bits).sum((1, 2, 3)) - codes.sum((1, 2, 3))

    def _affects(self, codes: Tensor) -> bool:
        return bool(self.stuck) and codes.shape[1] > 1

    def _held(self, codes: Tensor, bits: int) -> Tensor:
        """Returns what the weight registers hold, int64 [C_out, C_in in whole rows, kh, kw]."""
        held = F.pad(codes.long(), (0, 0, 0, 0, 0, -codes.shape[1] % self.rows))
        for row, col, bit, value in self.stuck:
            part = held[col :: self.cols, row :: self.rows]
            mask = 1 << bit % bits
            held[col :: self.cols, row :: self.rows] = signed(
                part | mask if value else part & ~mask, bits
            )
        return held
