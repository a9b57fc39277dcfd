"""``nox -s bench -- faultmodels``: what faults cost at network level.

Writes build/bench/faultmodels.json, {model: {rate, train_pass_ratio, evaluation_ratio}}, and beside
it faultmodels_settings.json, which says of what. Passes with and without faults take turns, so that
both see the same machine; a ratio is that of the medians. Weights are random: they do not matter
for the time.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from rich.progress import track
from rich.table import Table

from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.files import make_folder, write_atomically
from holdfast.base.options import check_range
from holdfast.nn.data.cifar import generated_images
from holdfast.nn.errors.base import ErrorModel
from holdfast.nn.errors.literature import SingleActivationFlip
from holdfast.nn.errors.registry import fault_model
from holdfast.nn.networks.float import FloatNetwork
from holdfast.nn.networks.registry import network
from holdfast.nn.quantization.clipping import clips
from holdfast.nn.quantization.quantized import QuantizedNetwork

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

# the highest rates of the papers, where there are most faults to draw
RATES = {
    "mibb": 3e-4,
    "adsaf": 0.12,
    "adsaf-bits": 0.1,
    "ibf-weights": 1e-3,
    "ibf-activations": 1e-3,
    "stuck-pes": 0.05,
}


@app.command()
def faultmodels(
    network_name: Annotated[str, typer.Option("--network")] = "resnet20",
    batch: Annotated[int, typer.Option(help="Images of a pass.")] = 128,
    repeats: Annotated[int, typer.Option(help="Passes of each kind.")] = 9,
    images: Annotated[int, typer.Option(help="Images of an evaluation.")] = 500,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    calibrated: Annotated[
        Path | None, typer.Option(help="Also a calibrated model, every image corrupted.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the JSON.")] = Path("build/bench"),
) -> int:
    """Time passes under every fault model against plain quantized passes."""
    check_range(1, 1_000_000, batch=batch, repeats=repeats, images=images, threads=threads)
    if threads is not None:
        torch.set_num_threads(threads)
    spec = network(network_name)
    models = {name: fault_model(name, rate) for name, rate in RATES.items()}
    models["single-flip"] = SingleActivationFlip()
    if calibrated is not None:
        models["calibrated"] = fault_model(f"calibrated:{calibrated}", 1.0)
    make_folder(output)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    pixels = torch.from_numpy(generated_images(max(batch, images), 1).images).float() / 255
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    tensors = FloatNetwork(spec).eval().tensors(pixels[:16])
    net = QuantizedNetwork(spec, clips(spec, tensors, 8), 8, 8)
    net = net.to(device, memory_format=torch.channels_last)
    pixels = pixels.to(device)
    labels = torch.randint(0, spec.classes, (batch,), device=device)

    def train_pass(faults: ErrorModel | None) -> None:
        net.train().zero_grad()
        with torch.autocast(device.type, torch.bfloat16):
            loss = F.cross_entropy(net(pixels[:batch], faults).float(), labels)
        loss.backward()

    @torch.no_grad()
    def evaluation(faults: ErrorModel | None) -> None:
        net.eval()
        with net.frozen_weights():
            for part in pixels[:images].split(250):
                net(part, faults)

    results: dict[str, dict[str, float]] = {}
    for name, model in track(models.items(), "timing", console=console):
        plain, faulty = _times(train_pass, model, repeats)
        clean, under_faults = _times(evaluation, model, repeats)
        results[name] = {
            "rate": 1.0 if name == "calibrated" else RATES.get(name, 0.0),
            "train_pass_ratio": round(faulty / plain, 3),
            "evaluation_ratio": round(clean / under_faults, 3),
        }
    settings = {
        "network": network_name,
        "batch": batch,
        "repeats": repeats,
        "images": images,
        "device": str(device),
        "threads": torch.get_num_threads(),
    }
    for name, content in (("faultmodels", results), ("faultmodels_settings", settings)):
        write_atomically(output / f"{name}.json", json.dumps(content, indent=1).encode())
    table = Table(title=f"{network_name}, batch {batch}, {settings['threads']} threads, {device}")
    table.add_column("fault model")
    for column in ("rate", "faulty pass / plain pass", "images per second / clean"):
        table.add_column(column, justify="right")
    for name, entry in results.items():
        table.add_row(name, *(f"{value:g}" for value in entry.values()))
    console.print(table)
    return 0


def _times(
    action: Callable[[ErrorModel | None], None], model: ErrorModel, repeats: int
) -> tuple[float, float]:
    """Median seconds without and with faults, taken in turns.

    On a CPU they are processor time, in which the machine's other work does not count.
    """
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for repeat in range(-1, repeats):
        for under_faults in (False, True):
            began = clock()
            action(model if under_faults else None)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if repeat >= 0:
                seconds[under_faults].append(clock() - began)
    return statistics.median(seconds[False]), statistics.median(seconds[True])


if __name__ == "__main__":
    sys.exit(run(app))
