"""``holdfast ptq``: accuracy of a float network after quantization without training, in integers.

Every way to clip activations, with weight scales per tensor and per channel, with multipliers and
with shifts alone, at every width asked for. The float network is a checkpoint of
``holdfast train``.
"""

import itertools
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.table import Table

from holdfast.base import options
from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
from holdfast.base.files import make_folder, write_json
from holdfast.base.progress import tracked
from holdfast.base.text import printable
from holdfast.base.versions import versions
from holdfast.nn import options as shared
from holdfast.nn.data.cifar import load_cifar10, sample
from holdfast.nn.data.images import check_network
from holdfast.nn.graph.graph import ModelError
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.registry import network
from holdfast.nn.quantization.clipping import CLIP_METHODS, clips_on
from holdfast.nn.quantization.quantized import GRANULARITIES, SCALES, fake_quantized

from .checkpoint import read_checkpoint
from .evaluate import accuracy, integer_classes

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
@options.grouped(
    {shared.SETUP: "network_name checkpoint bits weight_bits act_bits seed", shared.RUN: "output"}
)
def ptq(
    network_name: Annotated[str, options.text("As in holdfast train.", "--network")] = "resnet8",
    checkpoint: Annotated[
        Path | None, options.path("Default: build/train/NETWORK_float.pt.")
    ] = None,
    bits: Annotated[
        list[int] | None, options.whole(2, 8, "Again for each width; default: 8 to 2.")
    ] = None,
    weight_bits: Annotated[
        list[int] | None,
        options.whole(2, 8, "Widths of the weights, with each of the activations."),
    ] = None,
    act_bits: Annotated[
        list[int] | None,
        options.whole(2, 8, "Widths of the activations, with each of the weights."),
    ] = None,
    data: shared.TrainingData = None,
    images: shared.TestImages = None,
    seed: Annotated[
        int, options.whole(0, options.LAST_SEED, "Of the 256 images of calibration.")
    ] = 1,
    output: Annotated[Path, options.path("Folder of the JSON.")] = Path("build/ptq"),
    threads: shared.Threads = None,
) -> None:
    """Quantize a float network in every way and measure the integers."""
    spec = network(network_name)
    every = bits or list(range(8, 1, -1))
    widths = [(width, width) for width in every]
    if weight_bits or act_bits:
        widths = list(itertools.product(weight_bits or every, act_bits or every))
    if threads is not None:
        torch.set_num_threads(threads)
    net = FloatNetwork(spec)
    file = checkpoint or Path("build/train") / f"{spec.name}_float.pt"
    if not os.path.exists(file):
        raise HoldfastError(f"there is no {printable(file, 300)}: train {spec.name} first.")
    try:
        net.load_state_dict(read_checkpoint(file)["network"])
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise HoldfastError(f"{printable(file)} is no float checkpoint of {spec.name}.") from error
    net.eval()
    cifar = load_cifar10(data)
    check_network(spec.name, spec.input_shape, spec.classes, cifar.train, *cifar.tests)
    make_folder(output)
    some = sample(cifar.train.images, 256, seed)
    ways = list(itertools.product(widths, CLIP_METHODS, GRANULARITIES, SCALES))
    rows: list[dict[str, Any]] = []
    for (weight, act), clip, granularity, scales in tracked(ways, "quantizing"):
        largest = clips_on(net, some, act, clip)
        quantized = fake_quantized(net, largest, act, weight, scales, granularity)
        row: dict[str, Any] = {
            "weight_bits": weight, "act_bits": act, "clip": clip, "weights": granularity,
            "scales": scales,
        }  # fmt: skip
        try:
            graph = quantized.integer_graph()
        except ModelError as error:
            row["refused"] = str(error)
        else:
            row["accuracy"] = [
                asdict(accuracy(integer_classes(graph, test.images[:images]), test))
                for test in cifar.tests
            ]
        rows.append(row)
    report = {"network": spec.name, "seed": seed, "rows": rows, "versions": versions()}
    target = output / f"{spec.name}.json"
    write_json(target, report)
    columns = ("weight_bits", "act_bits", "clip", "weights", "scales")
    table = Table(*(name.replace("_", " ") for name in columns), *(t.name for t in cifar.tests))
    for row in rows:
        found = [f"{entry['percent']:.2f}" for entry in row.get("accuracy", ())]
        table.add_row(*(str(row[name]) for name in columns), *(found or ["refused"]))
    console.print(table)
    console.print(f"wrote {target}")


if __name__ == "__main__":
    sys.exit(run(app))
