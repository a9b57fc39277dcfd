"""Trains a network, quantizes it, and writes the integer graph with its measured accuracy."""

import hashlib
import sys
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.table import Table

from holdfast.base import options
from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
from holdfast.base.files import make_folder, make_room
from holdfast.base.progress import training_bar
from holdfast.base.versions import versions
from holdfast.nn import options as shared
from holdfast.nn.data.cifar import (
    Cifar10,
    download,
    load_cifar10,
    sample,
)
from holdfast.nn.data.images import ImageSet, check_network
from holdfast.nn.errors.base import ErrorModel
from holdfast.nn.errors.registry import CALIBRATED, fault_model, fault_model_names
from holdfast.nn.errors.stuck_pes import STUCK_PES
from holdfast.nn.graph.graph import Graph
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.registry import network, network_names
from holdfast.nn.networks.spec import narrowed
from holdfast.nn.quantization.clipping import CLIP_METHODS, clips_on
from holdfast.nn.quantization.guard_bounds import learn_bounds
from holdfast.nn.quantization.quantized import (
    GRANULARITIES,
    SCALES,
    QuantizedNetwork,
    fake_quantized,
)

from .evaluate import (
    Accuracy,
    accuracy,
    integer_classes,
    network_classes,
)
from .loop import (
    Plan,
    fit,
    image_digest,
    weight_digest,
)

__all__ = ["MOST_EPOCHS", "app", "train"]

MOST_EPOCHS = 10_000

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
@options.grouped(
    {
        "Network and its integers": "network_name width bits weight_bits act_bits clip scales "
        "granularity bounds calibration",
        shared.TRAINING: "epochs restart_epochs qat_epochs qat_learning_rate faults fault_rate "
        "fault_share seed",
        shared.RUN: "fetch output resume",
    }
)
def train(
    network_name: Annotated[
        str, options.text(", ".join(network_names()) + ".", "--network")
    ] = "resnet8",
    width: Annotated[float, options.number(1 / 64, 4, "Times the channels.")] = 1.0,
    bits: Annotated[int, options.whole(2, 8, "Width of weights and activations.")] = 8,
    weight_bits: Annotated[int | None, options.whole(2, 8, "Width of the weights alone.")] = None,
    act_bits: Annotated[int | None, options.whole(2, 8, "Width of the activations alone.")] = None,
    epochs: Annotated[int, options.whole(1, MOST_EPOCHS, "Epochs in floating point.")] = 60,
    restart_epochs: Annotated[
        int,
        options.whole(0, MOST_EPOCHS, "After a warm restart, at half the rate."),
    ] = 0,
    qat_epochs: Annotated[
        int, options.whole(0, MOST_EPOCHS, "Epochs fake-quantized; 0: none.")
    ] = 3,
    learning_rate: shared.LearningRate = 0.2,
    qat_learning_rate: Annotated[float, options.number(1e-9, 1e30, "Peak, fake-quantized.")] = 0.01,
    faults: Annotated[
        str,
        options.text(
            "Fault-tolerant training in the fake-quantized epochs: "
            + ", ".join(fault_model_names())
            + f", {STUCK_PES}:ROWSxCOLS, {CALIBRATED}FILE.",
            paths=True,
        ),
    ] = "none",
    fault_rate: Annotated[
        float,
        options.number(
            0,
            1,
            "Per MAC (mibb), cell (adsaf), processing element (stuck-pes), image (calibrated) "
            "or bit (others).",
        ),
    ] = 1e-4,
    fault_share: Annotated[
        float, options.number(0, 1, "Of CE_fault in the loss, the rest of CE_clean.")
    ] = 0.5,
    weight_decay: shared.WeightDecay = 5e-4,
    seed: Annotated[
        int, options.whole(0, options.LAST_SEED - 1, "Of weights, batches and faults.")
    ] = 1,
    data: shared.TrainingData = None,
    fetch: Annotated[bool, typer.Option("--download", help="Fetch CIFAR-10 first.")] = False,
    clip: Annotated[
        str, options.text("Clips of activations: max, percentile, mse.")
    ] = "percentile",
    scales: Annotated[
        str, options.text("multiplier, or power-of-two: shifts alone.")
    ] = "multiplier",
    granularity: Annotated[
        str, options.text("Weight scales, one for each: channel, tensor.")
    ] = "channel",
    bounds: Annotated[str, options.text("Of the output guard: calibrated, learnt.")] = "calibrated",
    calibration: Annotated[
        int, options.whole(1, 50_000, "Images that teach the range guard.")
    ] = 10_000,
    output: Annotated[Path | None, options.path("File to write; default: in build/train.")] = None,
    resume: Annotated[bool, typer.Option(help="Continue from the checkpoints.")] = False,
    threads: shared.Threads = None,
) -> None:
    """Train from scratch; checkpoints, and what --download fetches, go to build/."""
    spec = narrowed(network(network_name), width)
    widths = {
        "weight": bits if weight_bits is None else weight_bits,
        "act": bits if act_bits is None else act_bits,
    }
    options.check_choice(CLIP_METHODS, clip=clip)
    options.check_choice(SCALES, scales=scales)
    options.check_choice(GRANULARITIES, granularity=granularity)
    options.check_choice(("calibrated", "learnt"), bounds=bounds)
    if bounds == "learnt" and qat_epochs == 0:
        raise HoldfastError("bounds are learnt in the fake-quantized epochs; qat_epochs is 0.")
    model = None
    if faults != "none":
        model = fault_model(faults, fault_rate)
        # A pass of no images: a calibrated model refuses activations of another width.
        model.bind(spec)
        model.start({}, 0, widths["act"], torch.device("cpu"))
    if model is not None and qat_epochs == 0:
        raise HoldfastError("faults are trained in the fake-quantized epochs; qat_epochs is 0.")
    if threads is not None:
        torch.set_num_threads(threads)
    cifar = load_cifar10(download(Path("build/data")) if fetch else data)
    check_network(spec.name, spec.input_shape, spec.classes, cifar.train, *cifar.tests)
    folder = Path("build/train")
    title = f"{spec.name}_w{widths['weight']}a{widths['act']}"
    title += "_shifts" * (scales != "multiplier") + "_tensor" * (granularity == "tensor")
    title += f"_{faults.partition(':')[0]}" * (model is not None) + "_learnt" * (bounds == "learnt")
    output = output or folder / f"{title}.safetensors"
    make_room(output)
    make_folder(folder)

    torch.manual_seed(seed)
    net = FloatNetwork(spec).to(memory_format=torch.channels_last)
    digest = image_digest(cifar.train)
    plan = Plan(f"{spec.name} float", epochs, seed, learning_rate, weight_decay, data=digest)
    _fit(net, cifar, plan, folder / f"{spec.name}_float.pt", resume)
    if restart_epochs:
        plan = Plan(
            f"{spec.name} float, restarted",
            restart_epochs,
            seed + 1,
            learning_rate / 2,
            weight_decay,
            data=digest,
            start_weights=weight_digest(net),
        )
        _fit(net, cifar, plan, folder / f"{spec.name}_restart.pt", resume)

    clips = clips_on(net, sample(cifar.train.images, 256, seed), widths["act"], clip)
    quantized = fake_quantized(net, clips, widths["act"], widths["weight"], scales, granularity)
    if bounds == "learnt":
        some = sample(cifar.train.images, 256, seed)
        quantized.learn_output_bounds(torch.from_numpy(some).float() / 255)
    plan = Plan(
        f"{title} quantized",
        qat_epochs,
        seed,
        qat_learning_rate,
        weight_decay,
        frozen_epochs=qat_epochs // 2,
        faults="none" if model is None else f"{_identity(faults)} {fault_rate}",
        fault_share=0.0 if model is None else fault_share,
        data=digest,
        start_weights=weight_digest(net),
        clip=clip,
    )
    _fit(quantized, cifar, plan, folder / f"{title}_quantized.pt", resume, model)

    graph = quantized.integer_graph()
    console.print(f"learning guard bounds on {calibration} training images")
    learn_bounds(graph, sample(cifar.train.images, calibration, seed))
    quantized.write_bounds(graph)
    accuracies = measure(net, quantized, graph, cifar.tests)
    graph.provenance = {
        "command": _command(locals()),
        "seed": seed,
        "epochs": epochs,
        "restart_epochs": restart_epochs,
        "qat_epochs": qat_epochs,
        "data": _describe(cifar),
        "calibration_images": calibration,
        "bounds": bounds,
        "scales": scales,
        "granularity": granularity,
        **accuracies,
        "versions": versions(),
    }
    graph.save(output)
    console.print(f"wrote {output} ({output.stat().st_size} bytes)")


def measure(
    net: torch.nn.Module, quantized: QuantizedNetwork, graph: Graph, tests: tuple[ImageSet, ...]
) -> dict[str, Any]:
    """Accuracies of all forms of a network, and how often the integers give the same class.

    Where the fake-quantized network has learnt bounds, the output guard of the integers is on.

    Returns
    -------
    dict
        ``accuracy``: by form, a list with one entry for each test set; ``agreement``: per cent of
        images with the class of the fake-quantized network, by test set.
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
    table = Table("form", *(test.name for test in tests))
    for form, measured in results.items():
        table.add_row(form, *map(str, measured))
    table.add_row("integer class = fake-quantized class", *(f"{v} %" for v in agreement.values()))
    console.print(table)
    return {
        "accuracy": {
            form: [entry.as_json() for entry in measured] for form, measured in results.items()
        },
        "agreement": agreement,
    }


def _fit(
    net: torch.nn.Module,
    cifar: Cifar10,
    plan: Plan,
    checkpoint: Path,
    resume: bool,
    faults: ErrorModel | None = None,
) -> None:
    def report(epoch: int, loss: float) -> None:
        line = f"{plan.name}: epoch {epoch} of {plan.epochs}, loss {loss:.4f}"
        if epoch % 5 == 0 or epoch == plan.epochs:
            sample = cifar.tests[-1]
            some = ImageSet(sample.name, sample.images[:1000], sample.labels)
            line += f", {accuracy(network_classes(net, some.images), some)}"
        console.print(line)

    assert cifar.train.labels is not None
    with training_bar() as progress:
        slow = net.scale_parameters() if isinstance(net, QuantizedNetwork) else None
        fit(
            net,
            cifar.train.images,
            cifar.train.labels,
            plan,
            checkpoint,
            progress,
            resume=resume,
            slow=slow,
            faults=faults,
            on_epoch=report,
        )


def _identity(faults: str) -> str:
    """Name of a fault model; of one in a file, what the file holds."""
    if not faults.startswith(CALIBRATED):
        return faults
    content = Path(faults.removeprefix(CALIBRATED)).read_bytes()
    return CALIBRATED + hashlib.sha256(content).hexdigest()[:12]


def _describe(cifar: Cifar10) -> str:
    exact = any(test.name == "exact-932" for test in cifar.tests)
    return f"CIFAR-10, {cifar.train.name}" + (
        ", the training images at hand losslessly in place of their copies" if exact else ""
    )


def _command(options: dict[str, Any]) -> str:
    """The command that repeats this run, without the paths of this machine."""
    words = [f"--network {options['network_name']}"]
    for name in (
        *(("width",) if options["width"] != 1 else ()),
        "bits",
        "weight_bits",
        "act_bits",
        "epochs",
        "restart_epochs",
        "qat_epochs",
        "learning_rate",
        "qat_learning_rate",
        *(("faults", "fault_rate", "fault_share") if options["faults"] != "none" else ()),
        "weight_decay",
        "seed",
        "clip",
        *(("scales",) if options["scales"] != "multiplier" else ()),
        *(("granularity",) if options["granularity"] != "channel" else ()),
        *(("bounds",) if options["bounds"] != "calibrated" else ()),
        "calibration",
    ):
        value = options[name]
        if name == "faults" and value.startswith(CALIBRATED):
            value = CALIBRATED + Path(value).name
        if value is not None:
            words.append(f"--{name.replace('_', '-')} {value}")
    return f"nox -s train -- {' '.join(words)}"


if __name__ == "__main__":
    sys.exit(run(app))
