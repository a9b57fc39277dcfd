"""``holdfast calibrate``: a fault model for networks from a campaign, and what it predicts."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from numpy.typing import NDArray
from rich.table import Table

from holdfast.base import options
from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
from holdfast.base.files import make_room, write_json
from holdfast.base.progress import progress_bar
from holdfast.base.statistics import Estimate, Sample, share, stratified, weighted
from holdfast.base.table import plain_table
from holdfast.base.versions import versions
from holdfast.fault.campaign.manifest import images_hash
from holdfast.fault.campaign.prior import PriorCampaign
from holdfast.fault.results.tables import percent
from holdfast.fault.sampling.plan import MOST_FAULTS
from holdfast.nn import options as shared
from holdfast.nn.data.choice import MOST_IMAGES, images_for
from holdfast.nn.errors.empirical import Calibration
from holdfast.nn.errors.exposure import KINDS, graph_work
from holdfast.nn.errors.templates import SHAPES
from holdfast.nn.graph.graph import Graph
from holdfast.nn.graph.guard_modes import GuardSettings
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.graph.shipped import load_network

from .fit import fit, struck_program
from .predict import Prediction, predict

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command("fit")
def fit_command(
    folders: Annotated[
        list[Path], options.path("Campaigns that ended, with --patterns.", typer.Argument)
    ],
    output: Annotated[Path, options.path("File to write.")],
    network: Annotated[
        str,
        options.text(
            "What they struck, comma-separated; default: shipped ones' names.", paths=True
        ),
    ] = "",
    templates: Annotated[
        int, options.whole(1, 1_000_000, "Patterns kept of each structure and kind of layer.")
    ] = 4000,
) -> int:
    """Fit a model to campaigns on one accelerator, and write it."""
    make_room(output)
    names = [name.strip() for name in network.split(",")] if network else []
    names = names or [_name(folder) for folder in folders]
    if len(names) != len(folders):
        raise HoldfastError(f"--network must name {len(folders)} networks, not {len(names)}.")
    calibration = fit(folders, [load_network(name) for name in names], templates)
    calibration.save(output)
    console.print(_patterns(calibration))
    console.print(f"{output} written, {output.stat().st_size / 1e6:.1f} MB.")
    return 0


@app.command("predict")
@options.grouped(
    {
        shared.SETUP: "file against network images image_seed",
        shared.RUN: "samples minimum seed",
        shared.RESULTS: "output",
    }
)
def predict_command(
    file: Annotated[Path, options.path("Calibrated fault model.", typer.Argument)],
    against: Annotated[
        Path | None, options.path("Campaign that has ended: predict its SDC-1, on its images.")
    ] = None,
    network: Annotated[
        str, options.text("Shipped network or .safetensors; default: the campaign's.", paths=True)
    ] = "",
    data: shared.Data = None,
    images: Annotated[int, options.whole(1, MOST_IMAGES, "Images, without a campaign.")] = 4,
    image_seed: Annotated[
        int, options.whole(0, options.LAST_SEED, "Seed of the images, without one.")
    ] = 1,
    samples: Annotated[
        int, options.whole(1, MOST_FAULTS, "Draws, as upsets corrupt layers.")
    ] = 40_000,
    minimum: Annotated[int, options.whole(1, MOST_FAULTS, "Least draws of a structure.")] = 2000,
    seed: Annotated[int, options.whole(0, options.LAST_SEED, "Seed of the draws.")] = 1,
    output: Annotated[Path | None, options.path("JSON to write.")] = None,
) -> int:
    """Predict how often an upset changes the class of a network."""
    if output is not None:
        make_room(output)
    calibration = Calibration.load(file)
    other = PriorCampaign.load(against) if against else None
    if not network and other is None:
        raise HoldfastError("predict needs --network or --against.")
    graph = load_network(network or _name(against or Path()))
    for name in ("act_bits", "weight_bits"):
        mine, its = getattr(calibration, name), getattr(graph, name)
        if mine != its:
            raise HoldfastError(
                f"{file} was fitted at {name} {mine}; network {graph.network} has {its}."
            )
    guard = GuardSettings.of(calibration.guard)
    if other is not None:
        images, image_seed = other.summary.images, other.manifest.seed
    image_set = images_for(graph, data, images, image_seed)
    codes = image_codes(image_set.images, graph.act_bits)
    if other is not None:
        _comparable(other, calibration, graph, codes.numpy(), file)
    with progress_bar() as progress:
        task = progress.add_task("Draws", total=None, rate="")
        predictions = predict(
            calibration, graph, guard.golden(graph), codes, samples, minimum, seed,
            progress=lambda done: progress.advance(task, done),
        )  # fmt: skip
    total = weighted({n: p.sdc1 for n, p in predictions.items()}, calibration.bits)
    report: dict[str, Any] = {
        "model": file.name,
        "network": graph.network,
        "structures": {name: asdict(found) for name, found in predictions.items()},
        "total": asdict(total),
        "versions": versions(),
    }
    measured: dict[str, Estimate] | None = None
    left: dict[str, float] = {}
    if other is not None:
        measured, left = _measured(other, calibration, graph)
        report["measured"] = {name: asdict(share) for name, share in measured.items()}
        report["left_out"] = left
    console.print(_predicted(graph.network, predictions, total, measured))
    for layers, part in left.items():
        console.print(
            f"Left out of the measured SDC-1: {100 * part:.3f} % of upsets in {layers} layers, "
            "of which the model has no patterns."
        )
    if output is not None:
        write_json(output, report)
    return 0


def _name(folder: Path) -> str:
    """The network that a campaign struck."""
    return str(PriorCampaign.load(folder).manifest.name)


def _comparable(
    other: PriorCampaign,
    calibration: Calibration,
    graph: Graph,
    codes: NDArray[np.int8],
    file: Path,
) -> None:
    """Refuse a campaign that the model says nothing about."""
    manifest, folder = other.manifest, other.folder
    array = struck_program(other, graph).config
    if manifest.pilot:
        raise HoldfastError(f"{folder} drew by a pilot; give a campaign without --pilot.")
    if images_hash(codes) != manifest.images:
        raise HoldfastError(f"{folder} struck other images; give its --data.")
    same = (array.rows, array.cols, array.acc_depth, array.acc_bits)
    mine = calibration.array
    if same != (mine.rows, mine.cols, mine.acc_depth, calibration.acc_bits):
        raise HoldfastError(f"{folder} struck {array.name}, {file} was fitted on other hardware.")
    if manifest.guard != GuardSettings.of(calibration.guard):
        raise HoldfastError(f"the guard's setting in {folder} is not that of {file}.")
    missing = [name for name in calibration.bits if name not in other.summary.structures]
    if missing:
        raise HoldfastError(f"{folder} has no faults in {', '.join(missing)}.")


def _measured(
    other: PriorCampaign, calibration: Calibration, graph: Graph
) -> tuple[dict[str, Estimate], dict[str, float]]:
    """A campaign's SDC-1 in layers that the model covers, by structure and ``total``; and, by kind
    of layer that it does not cover, the share of all upsets whose SDC-1 is left out.
    """
    images = other.summary.images
    kinds: dict[str | None, str] = {work.name: work.kind for work in graph_work(graph)}
    columns = ["structure", "number", "image", "effect"]
    if other.manifest.patterns:
        columns.append("tensor")
    tables = [other.table(path).select(columns) for path in other.shards()]
    rows = pa.concat_tables(tables)
    column = {name: np.array(rows[name].to_pylist(), object) for name in columns}
    kind = np.array([kinds.get(name, "") for name in column.get("tensor", [None] * len(rows))])
    wrong = column["effect"] == "sdc1"
    samples, left = {}, dict.fromkeys(KINDS, 0.0)
    total = sum(calibration.bits.values())
    for number, name in enumerate(calibration.structures):
        here = np.flatnonzero(column["structure"] == name)
        order = here[np.lexsort((column["image"][here], column["number"][here]))]
        hits = wrong[order]
        for at, layers in enumerate(KINDS):
            if not calibration.rates[number, at]:
                outside = hits & (kind[order] == layers)
                left[layers] += float(outside.mean()) * calibration.bits[name] / total
                hits &= ~outside
        samples[name] = Sample.of(hits.reshape(-1, images))
    found = {name: share(sample) for name, sample in samples.items()}
    found["total"] = stratified(samples, calibration.bits)
    return found, {layers: part for layers, part in left.items() if part}


def _patterns(calibration: Calibration) -> Table:
    """Tabulates how often layers are corrupted, in which shapes, and the median change of sums."""
    columns = ("structure", "layers", "faults", "corrupted", *SHAPES, "|change|")
    table = plain_table("Patterns of corrupted layers", *columns, left=("layers",), gap=1)
    for number, structure in enumerate(calibration.structures):
        for kind, layers in enumerate(KINDS):
            counts = calibration.counts[structure]
            shapes, change = calibration.templates.described(number, kind)
            if shapes:
                table.add_row(
                    structure, layers, f"{counts['faults']:,}", f"{counts['corrupted'][layers]:,}",
                    *(f"{100 * share:.0f} %" for share in shapes), f"{change:,.0f}",
                )  # fmt: skip
    return table


def _predicted(
    network: str,
    predictions: dict[str, Prediction],
    total: Estimate,
    measured: dict[str, Estimate] | None,
) -> Table:
    columns = ("layer corrupted", "predicted", *(("measured", "ratio") if measured else ()))
    table = plain_table(f"SDC-1 of {network}, % of upsets", "structure", *columns, gap=1)
    rows = {name: (p.corrupted, p.sdc1) for name, p in predictions.items()}
    for name, (corrupted, its) in [*rows.items(), ("total", (None, total))]:
        if name == "total":
            table.add_section()
        cells = ["" if corrupted is None else f"{100 * corrupted:.2f}", percent(asdict(its))]
        if measured:
            there = measured[name]
            ratio = f"{its.value / there.value:.2f}" if there.value else "-"
            cells += [percent(asdict(there)), ratio]
        table.add_row("weighted" if name == "total" else name, *cells)
    return table


if __name__ == "__main__":
    sys.exit(run(app))
