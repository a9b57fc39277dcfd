"""Reliability under the fault models at network level, with and without the guard.

Images that share a draw of weight faults are a cluster: intervals are as wide as the spread between
draws makes them.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from holdfast.base.errors import HoldfastError
from holdfast.base.paired import Pairs
from holdfast.base.statistics import Sample, share
from holdfast.base.text import shown
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.errors.base import ErrorModel
from holdfast.nn.errors.golden_faults import faulty_logits, strikes_weights
from holdfast.nn.errors.literature import SingleActivationFlip
from holdfast.nn.errors.registry import MODELS, fault_model, fault_model_names
from holdfast.nn.graph.golden import classes
from holdfast.nn.graph.guard_modes import GUARDS
from holdfast.nn.graph.pixels import image_codes

from .base import Measured
from .images import some_images
from .networks import load

_SINGLE = {"single-flip": "bits", "single-flip-by-layer": "layers"}
# Images that share a draw of weight faults, where there are enough for twenty draws.
_TOGETHER = 20
_LEAST_DRAWS = 20


def named_model(text: str, seed: int, config: AcceleratorConfig | None = None) -> ErrorModel:
    """Returns a fault model from text: ``single-flip``, ``single-flip-by-layer``, or ``NAME@RATE``
    with a name of `nn.errors.registry.fault_model`.

    Parameters
    ----------
    config : AcceleratorConfig, optional
        Whose array has the stuck processing elements.

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
        raise HoldfastError(
            f"unknown fault model {shown(text)}; known are {', '.join(known)} "
            f"({', '.join(n for n, m in MODELS.items() if m.of_array)} of the array explored)."
        )
    try:
        value = float(rate)
    except ValueError:
        raise HoldfastError(f"the rate of {name} must be a number, not {shown(rate)}.") from None
    if config is not None and MODELS[name].of_array:
        name += f":{config.rows}x{config.cols}"
    return fault_model(name, value, seed)


def of_array(text: str) -> bool:
    """Says whether a fault model is one of the array explored."""
    model = MODELS.get(text.partition("@")[0])
    return model is not None and model.of_array


@dataclass(frozen=True)
class ModelFaults(Measured):
    """Measures a network under one error model and several guard settings, with equal random
    numbers.

    Parameters
    ----------
    guards : tuple of str
        The first is what the others are compared with.
    images : int
        Images; each has activation faults of its own. Weight faults are drawn for every 20 images,
        or for fewer, so that there are 20 draws; images that fill no draw are left out.
    """

    network: Path
    config: AcceleratorConfig
    guards: tuple[str, ...]
    model: str
    images: int
    seed: int
    data: Path | None

    kind: ClassVar[str] = "model_faults"

    def subject(self) -> dict[str, Any]:
        found = super().subject()
        config = found.pop("config")
        array = (config["rows"], config["cols"]) if of_array(self.model) else None
        return found | {"array": array}

    def run(self) -> dict[str, Any]:
        """Returns, by guard, ``sdc1`` against that guard's own fault-free classes, and the
        ``accuracy`` under faults and without where there are labels; against the first guard
        ``prevented``, ``caused``, ``difference`` and ``ratio``.
        """
        graph = load(self.network)
        images = some_images(self.data, self.images, self.seed)
        codes = image_codes(images.images, graph.act_bits)
        together, batch = 1, 100
        if strikes_weights(named_model(self.model, self.seed)):
            together = batch = max(1, min(_TOGETHER, len(codes) // _LEAST_DRAWS))
            codes = codes[: len(codes) - len(codes) % together]
        result: dict[str, Any] = {"set": images.name, "images": len(codes), "guards": {}}
        first: np.ndarray | None = None
        for guard in self.guards:
            model = GUARDS[guard].golden(graph)
            clean = classes(model.logits(codes)).numpy()
            faults = named_model(self.model, self.seed, self.config)
            faulty = classes(faulty_logits(model, codes, faults, batch)).numpy()
            wrong = (clean != faulty).reshape(-1, together)
            entry: dict[str, Any] = {"sdc1": _share(wrong)}
            if images.labels is not None:
                labels = images.labels[: len(codes)]
                entry["clean_accuracy"] = _share((clean == labels)[:, None])
                entry["faulty_accuracy"] = _share((faulty == labels).reshape(-1, together))
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


def _share(hits: NDArray[np.bool_]) -> dict[str, float]:
    """Share with its interval, of [draw, image]."""
    return asdict(share(Sample.of(hits)))
