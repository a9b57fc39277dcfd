"""Accuracy of float, fake-quantized and integer networks."""

from contextlib import nullcontext
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.base.statistics import Sample, share
from holdfast.nn.data.images import ImageSet
from holdfast.nn.errors.base import ErrorModel
from holdfast.nn.graph.golden import Golden, GuardMode, classes
from holdfast.nn.graph.graph import Graph
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.quantization.quantized import QuantizedNetwork


@dataclass(frozen=True)
class Accuracy:
    """Share of images whose class is right, with its 95 % interval; all in per cent."""

    data: str
    images: int
    percent: float
    low: float
    high: float

    def as_json(self) -> dict[str, object]:
        """Returns the fields, rounded to a hundredth of a per cent."""
        return {
            name: round(value, 2) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }

    def __str__(self) -> str:
        return (
            f"{self.percent:.2f} % ({self.low:.2f} to {self.high:.2f}) "
            f"of {self.images} {self.data} images"
        )


def accuracy(predicted: Tensor, data: ImageSet) -> Accuracy:
    """Counts the predicted classes, int64 [N], that are the labels of the first N images."""
    assert data.labels is not None
    count = len(predicted)
    hits = int(np.count_nonzero(predicted.numpy() == data.labels[:count]))
    found = share(Sample.counted(hits, count))
    return Accuracy(data.name, count, 100 * found.value, 100 * found.low, 100 * found.high)


@torch.no_grad()
def network_classes(
    net: nn.Module, images: NDArray[np.uint8], batch: int = 500, faults: ErrorModel | None = None
) -> Tensor:
    """Classes, int64 [N], that a network of pixels / 255 in float32 gives to uint8 images.

    Under ``faults`` the network is a :class:`QuantizedNetwork`; every image has
    activation faults of its own, and every batch weight faults of its own.
    """
    net.eval()
    given = () if faults is None else (faults,)
    with net.frozen_weights() if isinstance(net, QuantizedNetwork) else nullcontext():
        parts = [
            net(part.float().div(255).contiguous(memory_format=torch.channels_last), *given)
            for part in torch.from_numpy(images).split(batch)
        ]
    return torch.cat(parts).argmax(1)


def integer_classes(
    graph: Graph, images: NDArray[np.uint8], output_guard: GuardMode | None = None
) -> Tensor:
    """Classes, int64 [N], that the golden model gives to uint8 images."""
    golden = Golden(graph, output_guard)
    return classes(golden.logits(image_codes(images, graph.act_bits)))


def agreement_of_forms(
    net: nn.Module, quantized: QuantizedNetwork, graph: Graph, tests: tuple[ImageSet, ...]
) -> tuple[dict[str, list[Accuracy]], dict[str, float]]:
    """Accuracies of all forms of a network, and how often the integers give the same class.

    Where the fake-quantized network has learnt bounds, the output guard of the integers is on.

    Returns
    -------
    dict of list
        By form, one accuracy for each test set.
    dict of float
        By test set, per cent of images with the class of the fake-quantized network.
    """
    results: dict[str, list[Accuracy]] = {"float": [], "fake_quantized": [], "integer": []}
    agreement = {}
    for test in tests:
        found = {
            "float": network_classes(net, test.images),
            "fake_quantized": network_classes(quantized, test.images),
            "integer": integer_classes(graph, test.images, "bound" if quantized.bounds else None),
        }
        for form, predicted in found.items():
            results[form].append(accuracy(predicted, test))
        same = (found["integer"] == found["fake_quantized"]).double().mean()
        agreement[test.name] = round(100 * float(same), 2)
    return results, agreement
