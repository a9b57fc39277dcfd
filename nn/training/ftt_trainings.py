"""The trainings of a study of fault-tolerant training: clean and under faults, from one start.

    trainings = Trainings(study, spec, seed, cifar, folder, progress, report)
    net = trainings.quantized("mibb")

Finished parts are read, not done again.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch

from holdfast.base.cache import digest
from holdfast.base.progress import Progress
from holdfast.base.sources import source_hash
from holdfast.nn.data.cifar import Cifar10, sample
from holdfast.nn.errors.base import ErrorModel
from holdfast.nn.errors.literature import MacBitBias, StuckWeightCells
from holdfast.nn.errors.registry import fault_model
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.spec import Network
from holdfast.nn.networks.zoo import spared_by_released_code
from holdfast.nn.quantization.clipping import clips_on
from holdfast.nn.quantization.quantized import (
    GRANULARITIES,
    SCALES,
    QuantizedNetwork,
    fake_quantized,
)

from .loop import Plan, fit, image_digest

BITS = 8


@dataclass(frozen=True)
class Study:
    """Holds what all trainings of a study have in common.

    Parameters
    ----------
    epoch_images : int
        Images of an epoch, drawn anew for each.
    shares, rates : dict
        a_l and the rate of the faults of fault-tolerant training, by fault model.
    released_code : bool
        Both models draw rounded rates; MiBB clips at the largest magnitude, and spares what
        :func:`nn.networks.zoo.spared_by_released_code` names.
    scales, granularity : str
        As of :func:`nn.quantization.quantized.fake_quantized`.
    """

    epochs: int
    fault_epochs: int
    epoch_images: int
    learning_rate: float
    fault_learning_rate: float
    weight_decay: float
    shares: dict[str, float]
    rates: dict[str, float]
    released_code: bool
    scales: str = SCALES[0]
    granularity: str = GRANULARITIES[0]

    def model(self, spec: Network, name: str, rate: float, seed: int = 0) -> ErrorModel:
        """Returns the fault model of that name for a network."""
        if name == "mibb" and self.released_code:
            spared = spared_by_released_code(spec)
            return MacBitBias(rate, seed, rounded_rate=True, bound="largest", spared=spared)
        if name == "adsaf" and self.released_code:
            return StuckWeightCells(rate, seed, rounded_rate=True)
        return fault_model(name, rate, seed)

    def plan(self, name: str, training: str, seed: int) -> Plan:
        """Tells how a network is trained; ``training`` is float, clean or a fault model."""
        title = f"{name} seed {seed} {training}"
        quantized = training != "float"
        faulty = training in self.rates
        return Plan(
            title,
            self.fault_epochs if quantized else self.epochs,
            seed,
            self.fault_learning_rate if quantized else self.learning_rate,
            self.weight_decay,
            faults=self._faults(training) if faulty else "none",
            fault_share=self.shares[training] if faulty else 0.0,
            epoch_images=self.epoch_images,
        )

    def _faults(self, training: str) -> str:
        artefacts = " as released" if self.released_code else ""
        return f"{training} {self.rates[training]:g}{artefacts}"

    def passes(self, training: str) -> int:
        """Returns images that pass through the network in a training."""
        plan = self.plan("", training, 0)
        return plan.epochs * self.epoch_images * (2 if training in self.rates else 1)


@dataclass
class Trainings:
    """Makes the trainings of one network from one seed.

    Parameters
    ----------
    folder : Path
        Of the checkpoints, named by what they depend on.
    report : Callable
        Called with the training's kind, the epoch and the loss after every epoch.
    """

    study: Study
    spec: Network
    seed: int
    cifar: Cifar10
    folder: Path
    progress: Progress
    report: Callable[[str, int, float], None]

    def __post_init__(self) -> None:
        self._data = image_digest(self.cifar.train)

    def _float(self) -> FloatNetwork:
        """Trained in floating point; the trainings that follow all start from it."""
        torch.manual_seed(self.seed)
        net = FloatNetwork(self.spec).to(memory_format=torch.channels_last)
        self._fit(net, "float")
        return net

    def quantized(self, training: str) -> QuantizedNetwork:
        """Returns the network after a training, clean or under faults."""
        source = self._float()
        images = sample(self.cifar.train.images, 256, self.seed)
        clips = clips_on(source, images, BITS)
        net = fake_quantized(source, clips, BITS, BITS, self.study.scales, self.study.granularity)
        self._fit(net, training)
        return net

    def _fit(self, net: FloatNetwork | QuantizedNetwork, training: str) -> None:
        plan = self.study.plan(self.spec.name, training, self.seed)
        faults = None
        if training in self.study.rates:
            faults = self.study.model(self.spec, training, self.study.rates[training])
        fit(
            net,
            self.cifar.train,
            plan,
            self.file(training),
            self.progress,
            resume=True,
            faults=faults,
            on_epoch=partial(self.report, training),
        )
        self.progress.remove_task(self.progress.task_ids[-1])

    def key(self, training: str) -> str:
        """Returns what a training depends on, the one that it starts from included."""
        kinds = ("float",) if training == "float" else ("float", training)
        lowered = [] if training == "float" else [self.study.scales, self.study.granularity]
        return digest(
            [
                lowered,
                [version(name) for name in ("torch", "brevitas")],
                [asdict(layer) for layer in self.spec.layers],
                [asdict(self.study.plan(self.spec.name, kind, self.seed)) for kind in kinds],
                self._data,
                source_hash("holdfast.nn.training.ftt_trainings"),
            ]
        )

    def file(self, training: str) -> Path:
        """Returns the checkpoint of a training."""
        key = self.key(training)
        return self.folder / f"{self.spec.name}_s{self.seed}_{training}_{key}.pt"
