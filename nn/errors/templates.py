"""Recorded corruptions of layers, and where drawn ones are put."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

SHAPES = ("element", "pixel", "channel", "tile")
"""Of a template: one element; channels of one pixel; pixels of one channel; both."""


_SPACE = 1024
"""More than three times the codes: the next template's are farther than its own."""


@dataclass(frozen=True)
class Templates:
    """Holds recorded corruptions.

    Attributes
    ----------
    structure, kind : int64 [T]
        Indices into the calibration's structures and `nn.errors.exposure.KINDS`; sorted by both.
    code : bool [T]
        Output codes, not sums.
    gain : float32 [T]
        Sums are also multiplied by it.
    height, width : int64 [T]
        Of the map that was struck.
    begin : int64 [T + 1]
        Where each template's elements begin.
    channel, y, x, golden, change : int32 [elements]
        ``channel`` counts from the first of the array columns' group; ``golden`` is 0 in sums.
    """

    structure: Tensor
    kind: Tensor
    code: Tensor
    gain: Tensor
    height: Tensor
    width: Tensor
    begin: Tensor
    channel: Tensor
    y: Tensor
    x: Tensor
    golden: Tensor
    change: Tensor

    @cached_property
    def _pairs(self) -> tuple[Tensor, Tensor]:
        """Template and golden code in one number, ascending, and the change."""
        which = torch.repeat_interleave(self.begin.diff())
        codes = self.code[which].nonzero().flatten()
        key, order = (which[codes] * _SPACE + self.golden[codes]).sort(stable=True)
        return key, self.change[codes][order].long()

    def changed(self, which: Tensor, codes: Tensor) -> Tensor:
        """Returns codes, not clamped, that templates of codes make of others.

        Parameters
        ----------
        which : int64
            The template of each code.
        """
        keys, changes = self._pairs
        wanted = which * _SPACE + codes
        above = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
        below = (above - 1).clamp(min=0)
        nearer = (keys[above] - wanted).abs() <= (keys[below] - wanted).abs()
        return codes + changes[torch.where(nearer, above, below)]

    def described(self, structure: int, kind: int) -> tuple[list[float], float]:
        """Returns shares of :data:`SHAPES` among a structure's templates, and the median magnitude
        of what changes in sums; empty without templates.
        """
        chosen = ((self.structure == structure) & (self.kind == kind)).nonzero().flatten()
        counts, changes = [0] * len(SHAPES), []
        for at in chosen.tolist():
            part = slice(int(self.begin[at]), int(self.begin[at + 1]))
            pixel = self.y[part] * int(self.width[at]) + self.x[part]
            channel = self.channel[part]
            wide = bool((channel != channel[0]).any())
            counts[wide + 2 * bool((pixel != pixel[0]).any())] += 1
            if not self.code[at] and self.gain[at] == 1:
                changes.append(self.change[part].abs())
        shares = [count / len(chosen) for count in counts] if len(chosen) else []
        return shares, float(torch.cat(changes).median()) if changes else 0.0

    def to(self, device: torch.device) -> "Templates":
        """Returns the same on another device."""
        return Templates(**{name: value.to(device) for name, value in self.arrays().items()})

    def arrays(self) -> dict[str, Tensor]:
        """Returns them by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Placed(NamedTuple):
    """Elements of a layer that drawn templates change.

    Attributes
    ----------
    owner : int64
        Which of the draws.
    channel, y, x, change : int64
    """

    owner: Tensor
    channel: Tensor
    y: Tensor
    x: Tensor
    change: Tensor
