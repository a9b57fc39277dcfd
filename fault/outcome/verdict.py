"""Says what wrong logits do to the classification.

verdict = Verdict(graph, reference)
verdict.of(output).effect          # "", "benign" or "sdc1"
"""

from dataclasses import dataclass

import torch

from holdfast.nn.graph.golden import GoldenOutputs, classes, confidences
from holdfast.nn.graph.graph import Graph


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
    reference : GoldenOutputs
        The golden run of the image alone.
    """

    def __init__(self, graph: Graph, reference: GoldenOutputs):
        self._graph = graph
        self._clean = reference.outputs[graph.nodes[-1].name].flatten(1)
        self._top = int(classes(self._clean))
        order = torch.argsort(self._clean[0].to(torch.int64), descending=True, stable=True)
        self._first = set(order[:5].tolist())
        self._confidence = float(confidences(graph, self._clean)[0, self._top])
        self._known: dict[bytes, Judgement] = {}

    def of(self, output: bytes) -> Judgement:
        """Judges the codes of a last tensor, int8; equal ones once."""
        if output not in self._known:
            logits = torch.frombuffer(bytearray(output), dtype=torch.int8)[None]
            top = int(classes(logits))
            after = float(confidences(self._graph, logits)[0, self._top])
            moved = abs(after - self._confidence)
            effect = "benign" if top == self._top else "sdc1"
            self._known[output] = Judgement(
                effect="" if torch.equal(logits, self._clean) else effect,
                sdc5=top not in self._first,
                sdc10=moved > 0.1 * self._confidence,
                sdc20=moved > 0.2 * self._confidence,
                top=top,
            )
        return self._known[output]
