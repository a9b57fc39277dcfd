"""``nox -s ptq``: accuracy of a float network after quantization without training, in integers.

Every way to clip activations, with weight scales per tensor and per channel, with multipliers and
with shifts alone, at every width asked for. The float network is a checkpoint of ``nox -s train``.
"""

import itertools
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from gen.command import run
from gen.errors import HoldfastError
from gen.files import make_folder
from nn.calibrate import CLIP_METHODS, clips_on, power_of_two_clips
from nn.data import load_cifar10, sample
from nn.evaluate import accuracy, integer_classes
from nn.graph import ModelError, write_atomically
from nn.networks import FloatNetwork, network
from nn.quantized import QuantizedNetwork

__all__ = ["app", "ptq"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console()

GRANULARITIES = ("channel", "tensor")
SCALES = ("multiplier", "power of two")


@app.command()
def ptq(
    network_name: Annotated[str, typer.Option("--network", help="As in nox -s train.")] = "resnet8",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Default: build/train/NETWORK_float.pt.")
    ] = None,
    bits: Annotated[
        list[int] | None, typer.Option(help="Again for each width; default: 8 to 2.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="CIFAR-10: folder, .npz or archive.")] = None,
    images: Annotated[int | None, typer.Option(help="Test images of each set.")] = None,
    seed: Annotated[int, typer.Option(help="Of the 256 images of calibration.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder of the JSON.")] = Path("build/ptq"),
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
) -> None:
    """Quantize a float network in every way and measure the integers."""
    spec = network(network_name)
    for width in bits or ():
        if not 2 <= width <= 8:
            raise HoldfastError(f"bits must be from 2 to 8, not {width}.")
    for name, value in (("images", images), ("threads", threads)):
        if value is not None and value < 1:
            raise HoldfastError(f"{name} must be at least 1, not {value}.")
    if threads is not None:
        torch.set_num_threads(threads)
    net = FloatNetwork(spec)
    file = checkpoint or Path("build/train") / f"{spec.name}_float.pt"
    try:
        net.load_state_dict(torch.load(file, weights_only=True)["network"])
    except FileNotFoundError as error:
        raise HoldfastError(f"there is no {file}: train {spec.name} first.") from error
    except Exception as error:
        # torch.load raises whatever its layers do.
        raise HoldfastError(f"{file} is no float checkpoint of {spec.name}.") from error
    net.eval()
    cifar = load_cifar10(data)
    some = sample(cifar.train.images, 256, seed)
    ways = list(
        itertools.product(bits or range(8, 1, -1), CLIP_METHODS, GRANULARITIES, SCALES),
    )
    rows: list[dict[str, Any]] = []
    for width, clip, granularity, scales in track(ways, "quantizing", console=console):
        largest = clips_on(net, some, width, clip)
        shifts = scales == "power of two"
        if shifts:
            largest = power_of_two_clips(spec, largest, width)
        quantized = QuantizedNetwork(
            spec, largest, width, width, per_tensor=granularity == "tensor", shifts=shifts
        )
        quantized.load_state_dict(net.state_dict(), strict=False)
        row: dict[str, Any] = {
            "bits": width, "clip": clip, "weights": granularity, "scales": scales,
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
    make_folder(output)
    report = {"network": spec.name, "seed": seed, "rows": rows}
    target = output / f"{spec.name}.json"
    write_atomically(target, json.dumps(report, indent=1).encode())
    table = Table("bits", "clip", "weights", "scales", *(test.name for test in cifar.tests))
    for row in rows:
        found = [f"{entry['percent']:.2f}" for entry in row.get("accuracy", ())]
        names = [str(row[name]) for name in ("bits", "clip", "weights", "scales")]
        table.add_row(*names, *(found or ["refused"]))
    console.print(table)
    console.print(f"wrote {target}")


if __name__ == "__main__":
    sys.exit(run(app))
