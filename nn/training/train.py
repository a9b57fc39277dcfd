"""Trains a network, quantizes it, and writes the integer graph with its measured accuracy."""

import sys
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.table import Table

from holdfast.base import options
from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.nn import options as shared
from holdfast.nn.data.cifar import download, load_cifar10
from holdfast.nn.errors.registry import fault_model_forms, without_folders
from holdfast.nn.networks.registry import network, network_names
from holdfast.nn.networks.spec import narrowed

from .recipe import Recipe, Trained
from .recipe import train as training

FOLDER = Path("build/train")
MOST_EPOCHS = 10_000

_FAULTS = f"Fault-tolerant training in the fake-quantized epochs: {', '.join(fault_model_forms())}."
_RATE = (
    "Per MAC (mibb), cell (adsaf), processing element (stuck-pes), image (calibrated) "
    "or bit (others)."
)

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
        int, options.whole(0, MOST_EPOCHS, "After a warm restart, at half the rate.")
    ] = 0,
    qat_epochs: Annotated[
        int, options.whole(0, MOST_EPOCHS, "Epochs fake-quantized; 0: none.")
    ] = 3,
    learning_rate: shared.LearningRate = 0.2,
    qat_learning_rate: Annotated[float, options.number(1e-9, 1e30, "Peak, fake-quantized.")] = 0.01,
    faults: Annotated[str, options.text(_FAULTS, paths=True)] = "none",
    fault_rate: Annotated[float, options.number(0, 1, _RATE)] = 1e-4,
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
    given = locals()
    spec = narrowed(network(network_name), width)
    widths = {name: bits for name in ("weight_bits", "act_bits") if given[name] is None}
    recipe = Recipe(**{f.name: given[f.name] for f in fields(Recipe)} | widths)
    recipe.model(spec)
    if threads is not None:
        torch.set_num_threads(threads)
    cifar = load_cifar10(download(Path("build/data")) if fetch else data)
    output = output or FOLDER / f"{recipe.title(spec)}.safetensors"
    words = _command(given)
    trained = training(spec, recipe, cifar, FOLDER, output=output, resume=resume, command=words)
    console.print(_table(trained))
    console.print(f"wrote {output} ({output.stat().st_size} bytes)")


def _table(trained: Trained) -> Table:
    table = Table("form", *trained.agreement)
    for form, measured in trained.accuracy.items():
        table.add_row(form, *map(str, measured))
    same = (f"{percent} %" for percent in trained.agreement.values())
    table.add_row("integer class = fake-quantized class", *same)
    return table


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
        if name == "faults":
            value = without_folders(value)
        if value is not None:
            words.append(f"--{name.replace('_', '-')} {value}")
    return f"holdfast train {' '.join(words)}"


if __name__ == "__main__":
    sys.exit(run(app))
