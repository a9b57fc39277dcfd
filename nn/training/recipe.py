"""Training from scratch to the integer graph: a recipe, and what follows it.

trained = train(network("resnet8"), Recipe(epochs=40, faults="mibb"), load_cifar10(None))
trained.graph.save(path)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
from holdfast.base.files import make_folder, make_room
from holdfast.base.options import check_choice
from holdfast.base.progress import training_bar
from holdfast.base.versions import versions
from holdfast.nn.data.cifar import Cifar10, sample
from holdfast.nn.data.images import ImageSet, check_network
from holdfast.nn.errors.base import RatedModel
from holdfast.nn.errors.registry import fault_model
from holdfast.nn.graph.graph import Graph
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.spec import Network
from holdfast.nn.quantization.clipping import CLIP_METHODS, clips_on
from holdfast.nn.quantization.guard_bounds import learn_bounds
from holdfast.nn.quantization.quantized import (
    GRANULARITIES,
    SCALES,
    QuantizedNetwork,
    fake_quantized,
)

from .evaluate import Accuracy, accuracy, agreement_of_forms, network_classes
from .loop import Plan, fit, image_digest, weight_digest


@dataclass(frozen=True)
class Recipe:
    """Says how a network is trained, quantized and lowered.

    Parameters
    ----------
    weight_bits, act_bits : int
        Widths, 2 to 8.
    epochs, restart_epochs, qat_epochs : int
        In floating point, after a warm restart at half the learning rate, and fake-quantized.
    learning_rate, qat_learning_rate : float
        Peaks.
    faults : str
        ``none``, or a name of :func:`nn.errors.registry.fault_model`, for fault-tolerant training
        in the fake-quantized epochs, at ``fault_rate`` and with a share ``fault_share`` of the
        loss.
    clip : of :data:`nn.quantization.clipping.CLIP_METHODS`
        Where activations are clipped at first.
    scales, granularity : of :data:`nn.quantization.quantized.SCALES` and ``GRANULARITIES``
    bounds : "calibrated" or "learnt"
        Of the output guard.
    calibration : int
        Training images that teach the range guard.
    """

    weight_bits: int = 8
    act_bits: int = 8
    epochs: int = 60
    restart_epochs: int = 0
    qat_epochs: int = 3
    learning_rate: float = 0.2
    qat_learning_rate: float = 0.01
    weight_decay: float = 5e-4
    faults: str = "none"
    fault_rate: float = 1e-4
    fault_share: float = 0.5
    clip: str = "percentile"
    scales: str = SCALES[0]
    granularity: str = GRANULARITIES[0]
    bounds: str = "calibrated"
    calibration: int = 10_000
    seed: int = 1

    def title(self, spec: Network) -> str:
        """Names what the recipe makes of a network, for files."""
        title = f"{spec.name}_w{self.weight_bits}a{self.act_bits}"
        title += "_shifts" * (self.scales != SCALES[0]) + "_tensor" * (self.granularity == "tensor")
        title += f"_{self.faults.partition(':')[0]}" * (self.faults != "none")
        return title + "_learnt" * (self.bounds == "learnt")

    def model(self, spec: Network) -> RatedModel | None:
        """Checks the choices, and makes the fault model of fault-tolerant training.

        Raises
        ------
        HoldfastError
            A choice is unknown, or two do not go together.
        """
        check_choice(CLIP_METHODS, clip=self.clip)
        check_choice(SCALES, scales=self.scales)
        check_choice(GRANULARITIES, granularity=self.granularity)
        check_choice(("calibrated", "learnt"), bounds=self.bounds)
        if self.bounds == "learnt" and self.qat_epochs == 0:
            raise HoldfastError("bounds are learnt in the fake-quantized epochs; qat_epochs is 0.")
        if self.faults == "none":
            return None
        model = fault_model(self.faults, self.fault_rate)
        # A pass of no images: a calibrated model refuses activations of another width.
        model.bind(spec)
        model.start({}, 0, self.act_bits, torch.device("cpu"))
        if self.qat_epochs == 0:
            raise HoldfastError("faults are trained in the fake-quantized epochs; qat_epochs is 0.")
        return model


@dataclass(frozen=True)
class Trained:
    """Holds what a recipe made.

    Attributes
    ----------
    graph : Graph
        With its provenance.
    accuracy : dict
        By form (float, fake_quantized, integer): one for each test set.
    agreement : dict of float
        By test set: per cent of images to which the integers give the class of the fake-quantized
        network.
    """

    graph: Graph
    accuracy: dict[str, list[Accuracy]]
    agreement: dict[str, float]


def train(
    spec: Network,
    recipe: Recipe,
    cifar: Cifar10,
    folder: Path = Path("build/train"),
    *,
    output: Path | None = None,
    resume: bool = False,
    command: str = "",
) -> Trained:
    """Trains a network from scratch, quantizes it, and measures it on every test set.

    Parameters
    ----------
    folder : Path
        Of the checkpoints, named by network and recipe.
    output : Path, optional
        File of the graph; tried before anything is trained.
    resume : bool
        Continue from the checkpoints.
    command : str
        What the file says made it.

    Raises
    ------
    HoldfastError
        The recipe, the images or the files do not do, or the training diverged.
    """
    model = recipe.model(spec)
    check_network(spec.name, spec.input_shape, spec.classes, cifar.train, *cifar.tests)
    if output is not None:
        make_room(output)
    make_folder(folder)
    net = _float(spec, recipe, cifar, folder, resume)
    quantized = _quantized(net, recipe, cifar, folder, resume, model)
    graph = quantized.integer_graph()
    console.print(f"learning guard bounds on {recipe.calibration} training images")
    learn_bounds(graph, sample(cifar.train.images, recipe.calibration, recipe.seed))
    quantized.write_bounds(graph)
    accuracies, agreement = agreement_of_forms(net, quantized, graph, cifar.tests)
    graph.provenance = {
        "command": command,
        "seed": recipe.seed,
        "epochs": recipe.epochs,
        "restart_epochs": recipe.restart_epochs,
        "qat_epochs": recipe.qat_epochs,
        "data": _described(cifar),
        "calibration_images": recipe.calibration,
        "bounds": recipe.bounds,
        "scales": recipe.scales,
        "granularity": recipe.granularity,
        "accuracy": {form: [one.as_json() for one in found] for form, found in accuracies.items()},
        "agreement": agreement,
        "versions": versions(),
    }
    if output is not None:
        graph.save(output)
    return Trained(graph, accuracies, agreement)


def _float(
    spec: Network, recipe: Recipe, cifar: Cifar10, folder: Path, resume: bool
) -> FloatNetwork:
    """The network trained in floating point, once or twice."""
    torch.manual_seed(recipe.seed)
    net = FloatNetwork(spec).to(memory_format=torch.channels_last)
    data = image_digest(cifar.train)
    common: dict[str, Any] = {"weight_decay": recipe.weight_decay, "data": data}
    plan = Plan(f"{spec.name} float", recipe.epochs, recipe.seed, recipe.learning_rate, **common)
    _fit(net, cifar, plan, folder / f"{spec.name}_float.pt", resume)
    if recipe.restart_epochs:
        plan = Plan(
            f"{spec.name} float, restarted",
            recipe.restart_epochs,
            recipe.seed + 1,
            recipe.learning_rate / 2,
            **common,
            start_weights=weight_digest(net),
        )
        _fit(net, cifar, plan, folder / f"{spec.name}_restart.pt", resume)
    return net


def _quantized(
    net: FloatNetwork,
    recipe: Recipe,
    cifar: Cifar10,
    folder: Path,
    resume: bool,
    model: RatedModel | None,
) -> QuantizedNetwork:
    """The network trained on, fake-quantized and perhaps under faults."""
    some = sample(cifar.train.images, 256, recipe.seed)
    clips = clips_on(net, some, recipe.act_bits, recipe.clip)
    quantized = fake_quantized(
        net, clips, recipe.act_bits, recipe.weight_bits, recipe.scales, recipe.granularity
    )
    if recipe.bounds == "learnt":
        quantized.learn_output_bounds(torch.from_numpy(some).float() / 255)
    faults = recipe.faults
    if model is not None:
        name = f"{model.name}:{model.content}" if model.content else faults
        faults = f"{name} {recipe.fault_rate}"
    title = recipe.title(net.spec)
    plan = Plan(
        f"{title} quantized",
        recipe.qat_epochs,
        recipe.seed,
        recipe.qat_learning_rate,
        recipe.weight_decay,
        frozen_epochs=recipe.qat_epochs // 2,
        faults=faults,
        fault_share=0.0 if model is None else recipe.fault_share,
        data=image_digest(cifar.train),
        start_weights=weight_digest(net),
        clip=recipe.clip,
    )
    _fit(quantized, cifar, plan, folder / f"{title}_quantized.pt", resume, model)
    return quantized


def _fit(
    net: FloatNetwork | QuantizedNetwork,
    cifar: Cifar10,
    plan: Plan,
    checkpoint: Path,
    resume: bool,
    faults: RatedModel | None = None,
) -> None:
    def report(epoch: int, loss: float) -> None:
        line = f"{plan.name}: epoch {epoch} of {plan.epochs}, loss {loss:.4f}"
        if epoch % 5 == 0 or epoch == plan.epochs:
            test = cifar.tests[-1]
            some = ImageSet(test.name, test.images[:1000], test.labels)
            line += f", {accuracy(network_classes(net, some.images), some)}"
        console.print(line)

    with training_bar() as progress:
        fit(net, cifar.train, plan, checkpoint, progress, resume=resume, faults=faults,
            on_epoch=report)  # fmt: skip


def _described(cifar: Cifar10) -> str:
    exact = any(test.name == "exact-932" for test in cifar.tests)
    return f"CIFAR-10, {cifar.train.name}" + (
        ", the training images at hand losslessly in place of their copies" if exact else ""
    )
