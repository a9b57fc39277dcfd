"""Accuracy of the integers, with the guard as it shall be, on every test set at hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from holdfast.nn.graph.golden import classes
from holdfast.nn.graph.guard_modes import GUARDS
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.training.evaluate import accuracy

from .base import Measured
from .images import test_sets
from .networks import load


@dataclass(frozen=True)
class AccuracyMeasurement(Measured):
    """Measures a network; the array does not matter."""

    network: Path
    guard: str
    data: Path | None

    kind: ClassVar[str] = "accuracy"

    def run(self) -> dict[str, Any]:
        """``{"sets": [accuracy, low, high in per cent, images and name of each set]}``."""
        graph = load(self.network)
        model = GUARDS[self.guard].golden(graph)
        found = []
        for part in test_sets(self.data):
            predicted = classes(model.logits(image_codes(part.images, graph.act_bits)))
            found.append(accuracy(predicted, part).as_json())
        return {"sets": found}
