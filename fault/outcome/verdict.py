"""Says what wrong logits do to the classification.

verdict = Verdict(graph, reference)
verdict.of(output).effect          # "", "benign" or "sdc1"
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.nn.graph.graph import Graph
from holdfast.nn.graph.reference import Reference


@dataclass(frozen=True)
class Judgement:
    """Holds what the last tensor of an inference says.

    Attributes
    ----------
    effect : str
        Empty if it is golden, ``benign`` if the class is, else ``sdc1``.
    sdc5 : bool
        The class is not among the golden five first.
    sdc10, sdc20 : bool
        The confidence of the golden class moves by more than 10 or 20 % of itself.
    top : int
        The class.
    """

    effect: str
    sdc5: bool
    sdc10: bool
    sdc20: bool
    top: int


NOTHING = Judgement("", sdc5=False, sdc10=False, sdc20=False, top=-1)
"""Where there is no last tensor."""


class Verdict:
    """Compares last tensors with the golden one of an image.

    Parameters
    ----------
    reference : Reference
        The golden run of the image.
    """

    def __init__(self, graph: Graph, reference: Reference):
        self._last = graph.nodes[-1]
        self._clean = reference.codes[self._last.name].ravel()
        self._top = int(self._clean.argmax())
        order = np.argsort(-self._clean.astype(np.int64), kind="stable")
        self._first = set(order[:5].tolist())
        self._confidence = self._golden_confidence(self._clean)
        self._known: dict[bytes, Judgement] = {}

    def of(self, output: bytes) -> Judgement:
        """Judges the codes of a last tensor, int8; equal ones once."""
        if output not in self._known:
            logits = np.frombuffer(output, np.int8)
            # The lowest index among the maxima.
            top = int(logits.argmax())
            moved = abs(self._golden_confidence(logits) - self._confidence)
            effect = "benign" if top == self._top else "sdc1"
            self._known[output] = Judgement(
                effect="" if np.array_equal(logits, self._clean) else effect,
                sdc5=top not in self._first,
                sdc10=moved > 0.1 * self._confidence,
                sdc20=moved > 0.2 * self._confidence,
                top=top,
            )
        return self._known[output]

    def _golden_confidence(self, logits: NDArray[np.int8]) -> float:
        """Computes the softmax of the dequantized codes, of the golden class."""
        powers = np.exp((logits.astype(np.float64) - logits.max()) * self._last.scale)
        return float(powers[self._top] / powers.sum())
