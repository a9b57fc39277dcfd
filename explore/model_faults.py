"""Reliability under the fault models at network level, with and without the guard."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from fault.compare import Pairs
from fault.statistics import wilson
from gen.errors import HoldfastError
from nn.fault_models import FaultModel, SingleActivationFlip, fault_model, fault_model_names
from nn.golden import classes
from nn.golden_faults import faulty_logits
from nn.pixels import image_codes

from .cache import file_hash, source_hash
from .images import data_identity, some_images
from .networks import golden, load

__all__ = ["ModelFaults", "named_model"]

_SOURCES = ("nn/golden.py", "nn/golden_faults.py", "nn/graph.py", "nn/pixels.py", "nn/data.py",
            "nn/guard_settings.py", "gen/guard.py", "nn/fault_models.py", "fault/compare.py",
            "fault/statistics.py",
            "explore/model_faults.py", "explore/images.py")  # fmt: skip
_SINGLE = {"single-flip": "bits", "single-flip-by-layer": "layers"}


def named_model(text: str, seed: int) -> FaultModel:
    """A fault model from text: ``single-flip``, ``single-flip-by-layer``, or ``NAME@RATE`` with a
    name of `nn.fault_models.fault_model`.

    Raises
    ------
    HoldfastError
        There is no such model, or the rate is outside 0..1.
    """
    if text in _SINGLE:
        return SingleActivationFlip(seed, uniform=_SINGLE[text])
    name, _, rate = text.partition("@")
    if name not in fault_model_names() or not rate:
        known = [*_SINGLE, *(f"{name}@RATE" for name in fault_model_names())]
        raise HoldfastError(f"unknown fault model {text!r}; known are {', '.join(known)}.")
    try:
        value = float(rate)
    except ValueError:
        raise HoldfastError(f"the rate of {name} must be a number, not {rate!r}.") from None
    return fault_model(name, value, seed)


@dataclass(frozen=True)
class ModelFaults:
    """Of a network, under one fault model and several guard settings, with equal random numbers.

    Parameters
    ----------
    guards : tuple of str
        The first is what the others are compared with.
    images : int
        Images; each has faults of its own.
    """

    network: Path
    guards: tuple[str, ...]
    model: str
    images: int
    seed: int
    data: Path | None

    kind: ClassVar[str] = "model_faults"

    def subject(self) -> dict[str, Any]:
        return {
            "network": file_hash(self.network),
            "guards": self.guards,
            "model": self.model,
            "images": self.images,
            "seed": self.seed,
            "data": data_identity(self.data),
        }

    def version(self) -> str:
        return source_hash(_SOURCES) + torch.__version__

    def run(self) -> dict[str, Any]:
        """By guard: ``sdc1`` against that guard's own fault-free classes, and the ``accuracy``
        under faults and without where there are labels; against the first guard ``prevented``,
        ``caused``, ``difference`` and ``ratio``.
        """
        graph = load(self.network)
        images = some_images(self.data, self.images, self.seed)
        codes = image_codes(images.images, graph.act_bits)
        result: dict[str, Any] = {"set": images.name, "images": len(codes), "guards": {}}
        first: np.ndarray | None = None
        for guard in self.guards:
            model = golden(graph, guard)
            clean = classes(model.logits(codes)).numpy()
            faulty = classes(
                faulty_logits(model, codes, named_model(self.model, self.seed))
            ).numpy()
            wrong = (clean != faulty)[:, None]
            entry: dict[str, Any] = {"sdc1": asdict(wilson(int(wrong.sum()), len(codes)))}
            if images.labels is not None:
                for name, found in (("clean", clean), ("faulty", faulty)):
                    right = int((found == images.labels).sum())
                    entry[f"{name}_accuracy"] = asdict(wilson(right, len(codes)))
            if first is None:
                first = wrong
            else:
                pairs = Pairs(first, wrong)
                ratio = pairs.ratio(0.95)
                entry |= {
                    "prevented": int((first & ~wrong).sum()),
                    "caused": int((wrong & ~first).sum()),
                    "difference": asdict(pairs.difference(0.95)),
                    "ratio": asdict(ratio) if ratio else None,
                }
            result["guards"][guard] = entry
        return result
