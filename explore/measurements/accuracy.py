"""Accuracy of the integers, with the guard as it shall be, on every test set at hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from holdfast.base.cache import file_hash
from holdfast.base.sources import source_hash
from holdfast.base.versions import computing
from holdfast.nn.graph.golden import classes
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.training.evaluate import accuracy

from .images import data_identity, test_sets
from .networks import golden, load

__all__ = ["AccuracyMeasurement"]


@dataclass(frozen=True)
class AccuracyMeasurement:
    """Of a network; it does not depend on the array."""

    network: Path
    guard: str
    data: Path | None

    kind: ClassVar[str] = "accuracy"

    def subject(self) -> dict[str, Any]:
        return {
            "network": file_hash(self.network),
            "guard": self.guard,
            "data": data_identity(self.data),
        }

    def version(self) -> str:
        return source_hash("holdfast.explore.measurements.accuracy") + str(computing())

    def run(self) -> dict[str, Any]:
        """``{"sets": [accuracy, low, high in per cent, images and name of each set]}``."""
        graph = load(self.network)
        model = golden(graph, self.guard)
        found = []
        for part in test_sets(self.data):
            predicted = classes(model.logits(image_codes(part.images, graph.act_bits)))
            found.append(accuracy(predicted, part).as_json())
        return {"sets": found}
