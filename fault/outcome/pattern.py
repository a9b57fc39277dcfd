"""Says what a fault makes of the output of the layer that it strikes, before anything follows.

    pattern = pattern_of(effect, golden)          # None: no output, and no sum, is wrong

Where the fault enters the layer's sums it is recorded there, before bias and multiplier have hidden
any of it: such a pattern means the same in another layer. Where it does not, the output codes are.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DOMAINS = ("sum", "code")


@dataclass(frozen=True)
class SumChange:
    """Sums of a layer that are wrong, bias included.

    Attributes
    ----------
    elements : int64
        Flat indices in the layer's output, [C, H, W].
    golden, faulty : int64
        The sums.
    gain : float
        By how much the multiplier and shift are wrong.
    """

    elements: NDArray[np.int64]
    golden: NDArray[np.int64]
    faulty: NDArray[np.int64]
    gain: float = 1.0


@dataclass(frozen=True)
class Pattern:
    """Holds what is wrong in one tensor.

    Attributes
    ----------
    tensor : str
        Node of the graph. If several stored tensors are wrong: the layer's output, else the first.
    domain : str
        ``sum``: accumulated sums of the node, bias included, before the requantizer; ``code``:
        output codes.
    elements : int64
        Flat indices [C, H, W], ascending; all that differ.
    golden, faulty : int64
        What is there and what ought to be.
    gain : float
        The sums are also multiplied by this: a wrong multiplier or shift. 1 for codes.
    """

    tensor: str
    domain: str
    elements: NDArray[np.int64]
    golden: NDArray[np.int64]
    faulty: NDArray[np.int64]
    gain: float = 1.0

    def columns(self) -> dict[str, object]:
        """Returns the pattern as it is stored (`fault.campaign.shard.PATTERN_SCHEMA`)."""
        return dict(vars(self))

    @classmethod
    def of_sums(cls, tensor: str, changes: list[SumChange]) -> "Pattern | None":
        """Makes the pattern of a layer whose sums alone are wrong; its runs are put together."""
        elements, golden, faulty = (
            np.concatenate([getattr(change, name) for change in changes])
            for name in ("elements", "golden", "faulty")
        )
        gain = changes[0].gain
        wrong = (golden != faulty) | (gain != 1)
        order = np.flatnonzero(wrong)[np.argsort(elements[wrong], kind="stable")]
        if not len(order):
            return None
        return cls(tensor, "sum", elements[order], golden[order], faulty[order], gain)

    @classmethod
    def of_codes(
        cls,
        target: str,
        tensors: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int8]]],
        golden: Mapping[str, NDArray[np.int8]],
    ) -> "Pattern | None":
        """Makes the pattern of codes that are wrong.

        Parameters
        ----------
        target : str
            The layer's output.
        tensors : Mapping
            By stored tensor, flat indices, ascending, and codes.
        golden : Mapping
            Golden codes [C, H, W] of every node.
        """
        if not tensors:
            return None
        name = target if target in tensors else min(tensors)
        elements, codes = tensors[name]
        before = golden[name].ravel()[elements].astype(np.int64)
        wrong = codes != before
        if not wrong.any():
            return None
        return cls(name, "code", elements[wrong], before[wrong], codes[wrong].astype(np.int64))
