"""``holdfast ftt``: fault-tolerant training against clean training, as FTT-NAS compares them.

Every network is trained in floating point, and from there three times in the same number of
fake-quantized steps: clean, under MiBB, and under adSAF. Each of the three is evaluated under both
fault models at several rates. Trainings and evaluations are files, named by what they depend on;
what is there is not done again.
"""

import math
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.table import Table
from scipy.stats import t as student

from holdfast.base import options
from holdfast.base.cache import digest
from holdfast.base.checked import read_checked, with_check
from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
from holdfast.base.files import make_folder, write_json
from holdfast.base.progress import Progress, TaskID, training_bar
from holdfast.base.sources import source_hash
from holdfast.base.statistics import Sample, share
from holdfast.base.versions import versions
from holdfast.nn import options as shared
from holdfast.nn.data.cifar import Cifar10, load_cifar10
from holdfast.nn.data.images import check_network
from holdfast.nn.errors.registry import fault_model
from holdfast.nn.networks.registry import network
from holdfast.nn.networks.spec import Network
from holdfast.nn.quantization.quantized import GRANULARITIES, SCALES, QuantizedNetwork

from .evaluate import network_classes
from .ftt_trainings import Study, Trainings
from .loop import image_digest
from .train import MOST_EPOCHS

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

NETWORKS = ("resnet18_w0.125", "vgg16_w0.125", "mobilenetv2_w0.125")
TRAININGS = ("clean", "mibb", "adsaf")
LEVELS = {"mibb": (1e-5, 3e-5, 1e-4, 3e-4, 1e-3), "adsaf": (0.04, 0.08, 0.12)}
# Images that share one draw of weight faults.
EVALUATION_BATCH = 100


@dataclass(frozen=True)
class Cell:
    """Evaluates one trained network under one fault model at one rate (0: without faults)."""

    network: str
    seed: int
    training: str
    faults: str
    rate: float


@app.command()
@options.grouped(
    {
        shared.TRAINING: "networks seeds epochs fault_epochs epoch_images fault_learning_rate "
        "scales granularity",
        shared.FAULTS: "mibb_rate mibb_share adsaf_rate adsaf_share released_code",
        shared.RUN: "output",
    }
)
def ftt(
    networks: Annotated[
        list[str] | None,
        options.text("Again for each; default: " + ", ".join(NETWORKS) + ".", "--network"),
    ] = None,
    seeds: Annotated[int, options.whole(1, 1000, "Repeats, from new weights.")] = 3,
    epochs: Annotated[int, options.whole(1, MOST_EPOCHS, "Epochs in floating point.")] = 40,
    fault_epochs: Annotated[
        int, options.whole(1, MOST_EPOCHS, "Fake-quantized epochs of each kind.")
    ] = 20,
    epoch_images: Annotated[
        int, options.whole(1, 10_000_000, "Images of an epoch, drawn anew.")
    ] = 50_000,
    learning_rate: shared.LearningRate = 0.1,
    fault_learning_rate: Annotated[
        float, options.number(1e-9, 1e30, "Peak, fake-quantized.")
    ] = 0.05,
    weight_decay: shared.WeightDecay = 5e-4,
    mibb_rate: Annotated[float, options.number(0, 1, "p_m of MiBB.")] = 1e-4,
    mibb_share: Annotated[float, options.number(0, 1, "a_l of MiBB.")] = 0.5,
    adsaf_rate: Annotated[float, options.number(0, 1, "Stuck cells under adSAF.")] = 0.08,
    adsaf_share: Annotated[float, options.number(0, 1, "a_l of adSAF.")] = 0.7,
    scales: Annotated[str, options.text("multiplier, or power-of-two as FTT-NAS.")] = SCALES[0],
    granularity: Annotated[str, options.text("channel, or tensor as FTT-NAS.")] = GRANULARITIES[0],
    released_code: Annotated[bool, typer.Option(help="As FTT-NAS's released code.")] = False,
    data: shared.TrainingData = None,
    images: shared.TestImages = None,
    output: Annotated[Path, options.path("Folder of all files.")] = Path("build/ftt"),
    threads: shared.Threads = None,
) -> None:
    """Compare clean and fault-tolerant training; finished parts are read, not done again."""
    options.check_choice(SCALES, scales=scales)
    options.check_choice(GRANULARITIES, granularity=granularity)
    shares = {"mibb": mibb_share, "adsaf": adsaf_share}
    rates = {"mibb": mibb_rate, "adsaf": adsaf_rate}
    for name in shares:
        fault_model(name, rates[name])
    given = locals()
    study = Study(**{f.name: given[f.name] for f in fields(Study)})
    specs = [network(name) for name in networks or NETWORKS]
    if threads is not None:
        torch.set_num_threads(threads)
    cifar = load_cifar10(data)
    for spec in specs:
        check_network(spec.name, spec.input_shape, spec.classes, cifar.train, *cifar.tests)
    make_folder(output)
    results: list[dict[str, Any]] = []
    with training_bar(period=1800) as progress:
        whole = progress.add_task("study")
        work = [
            _Bench(study, spec, seed, cifar, images, output, progress, whole)
            for seed in range(1, seeds + 1)
            for spec in specs
        ]
        progress.update(whole, total=sum(bench.passes() for bench in work))
        for bench in work:
            results.extend(bench.results())
            _write(output / "summary.json", study, cifar, results)
    for spec in specs:
        for data_set in cifar.tests:
            console.print(_table(spec.name, data_set.name, results))
    console.print(f"wrote {output / 'summary.json'}")


class _Bench:
    """The trainings and evaluations of one network from one seed.

    Parameters
    ----------
    whole : TaskID
        Bar of the whole study, in images that pass through a network.
    """

    def __init__(
        self,
        study: Study,
        spec: Network,
        seed: int,
        cifar: Cifar10,
        images: int | None,
        folder: Path,
        progress: Progress,
        whole: TaskID,
    ) -> None:
        self.study, self.spec, self.seed, self.cifar = study, spec, seed, cifar
        self.images, self.folder = images, folder
        self.trainings = Trainings(study, spec, seed, cifar, folder, progress, self._report)
        self.test_data = [image_digest(test) for test in cifar.tests]
        self.progress, self.whole = progress, whole
        self._done: dict[str, float] = {}

    def passes(self) -> int:
        """Images that pass through the network in all trainings and evaluations."""
        trained = sum(self.study.passes(kind) for kind in ("float", *TRAININGS))
        return trained + sum(len(self._cells(kind)) for kind in TRAININGS) * self._test_images()

    def results(self) -> Iterator[dict[str, Any]]:
        """Evaluates every cell, training first what it needs."""
        for training in TRAININGS:
            cells = self._cells(training)
            files = [self._evaluation_file(cell) for cell in cells]
            # Training is only looked at when something is still to be evaluated.
            done = all(file.exists() for file in files)
            net = None if done else self.trainings.quantized(training)
            for kind in ("float", training):
                self._advance(kind, self.study.passes(kind))
            for cell, file in zip(cells, files, strict=True):
                if not file.exists():
                    assert net is not None
                    self._evaluate(cell, net, file)
                self._advance(str(cell), self._test_images())
                yield self._read(cell, file)

    def _cells(self, training: str) -> list[Cell]:
        cells = [Cell(self.spec.name, self.seed, training, "none", 0.0)]
        for faults, levels in LEVELS.items():
            cells += [Cell(self.spec.name, self.seed, training, faults, rate) for rate in levels]
        return cells

    def _test_images(self) -> int:
        return sum(len(test.images[: self.images]) for test in self.cifar.tests)

    def _evaluate(self, cell: Cell, net: QuantizedNetwork, file: Path) -> None:
        model = None
        if cell.rate > 0:
            # Every training meets the same draws.
            seed = 1_000_000 + self.seed
            model = self.study.model(self.spec, cell.faults, cell.rate, seed)
        found: list[dict[str, Any]] = []
        for test in self.cifar.tests:
            pixels = test.images[: self.images]
            predicted = network_classes(net, pixels, EVALUATION_BATCH, model)
            assert test.labels is not None
            hits = int((predicted.numpy() == test.labels[: len(pixels)]).sum())
            found.append({"data": test.name, "images": len(pixels), "hits": hits})
        record = asdict(cell) | {"tests": found}
        write_json(file, with_check(record))
        line = ", ".join(f"{100 * e['hits'] / e['images']:.2f} % {e['data']}" for e in found)
        console.print(
            f"{cell.network} seed {cell.seed} {cell.training}: {cell.faults} {cell.rate:g}: {line}"
        )

    def _read(self, cell: Cell, file: Path) -> dict[str, Any]:
        try:
            record = read_checked(file, "evaluation")
            sizes = [(test["data"], test["images"]) for test in record["tests"]]
            given = [(t.name, len(t.images[: self.images])) for t in self.cifar.tests]
            if sizes != given or record != record | asdict(cell):
                raise ValueError
            if not all(0 <= test["hits"] <= test["images"] for test in record["tests"]):
                raise ValueError
        except (HoldfastError, ValueError, KeyError, TypeError) as error:
            raise HoldfastError(
                f"{file} does not hold the evaluation that it is named for; delete it."
            ) from error
        return record

    def _advance(self, part: str, passes: float) -> None:
        """Moves the bar of the study to where ``passes`` images of a part are done."""
        self.progress.advance(self.whole, passes - self._done.get(part, 0.0))
        self._done[part] = passes

    def _report(self, training: str, epoch: int, loss: float) -> None:
        plan = self.study.plan(self.spec.name, training, self.seed)
        self._advance(training, self.study.passes(training) * epoch / plan.epochs)
        console.print(f"{plan.name}: epoch {epoch} of {plan.epochs}, loss {loss:.4f}")

    def _evaluation_file(self, cell: Cell) -> Path:
        key = digest(
            [
                self.trainings.key(cell.training),
                asdict(cell),
                self.study.released_code,
                EVALUATION_BATCH,
                self.images,
                self.test_data,
                source_hash("holdfast.nn.training.ftt"),
            ]
        )
        return self.folder / f"{cell.network}_s{cell.seed}_{cell.training}_{key}.json"


def interval(hits: list[int], images: int) -> tuple[float, float, float]:
    """Returns the mean accuracy over repeats, with its 95 % interval, in per cent.

    The interval is Student's over the repeats; of a single repeat it is that of its images.
    """
    percents = [100 * count / images for count in hits]
    if len(hits) == 1:
        found = share(Sample.counted(hits[0], images))
        return percents[0], 100 * found.low, 100 * found.high
    mean, reach = _mean(percents)
    return mean, max(0.0, mean - reach), min(100.0, mean + reach)


def gain(hits: list[int], clean: list[int], images: int) -> tuple[float, float, float] | None:
    """Returns the mean of what a training adds to clean training's accuracy, with its 95 %
    interval, in points.

    Repeats are paired: a repeat's trainings start from the same weights and meet the same draws of
    faults. The interval is Student's over the differences; of a single repeat there is none.
    """
    if len(hits) == 1:
        return None
    points = [100 * (a - b) / images for a, b in zip(hits, clean, strict=True)]
    mean, reach = _mean(points)
    return mean, mean - reach, mean + reach


def _mean(values: list[float]) -> tuple[float, float]:
    """Mean, and how far Student's 95 % interval reaches to either side."""
    error = statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values), float(student.ppf(0.975, len(values) - 1)) * error


def _collected(results: list[dict[str, Any]]) -> dict[tuple[str, str, str, str, float], list[int]]:
    """Hits of all repeats by network, training, data, faults and rate."""
    hits: dict[tuple[str, str, str, str, float], list[int]] = {}
    for entry in results:
        for test in entry["tests"]:
            key = (
                entry["network"],
                entry["training"],
                test["data"],
                entry["faults"],
                entry["rate"],
            )
            hits.setdefault(key, []).append(test["hits"])
    return hits


def _write(file: Path, study: Study, cifar: Cifar10, results: list[dict[str, Any]]) -> None:
    sizes = {
        (entry["network"], test["data"]): test["images"]
        for entry in results
        for test in entry["tests"]
    }
    rows = []
    collected = _collected(results)
    for (name, training, data, faults, rate), hits in collected.items():
        images = sizes[name, data]
        mean, low, high = interval(hits, images)
        clean = collected[name, "clean", data, faults, rate]
        row = {
            "network": name,
            "training": training,
            "data": data,
            "faults": faults,
            "rate": rate,
            "images": images,
            "hits": hits,
            "percent": round(mean, 2),
            "low": round(low, 2),
            "high": round(high, 2),
        }
        if training != "clean" and (found := gain(hits, clean, images)):
            points, least, most = (round(value, 2) for value in found)
            row["gain"] = {"points": points, "low": least, "high": most}
        rows.append(row)
    summary = {
        "study": asdict(study), "trained_on": cifar.train.name, "rows": rows,
        "versions": versions(),
    }  # fmt: skip
    write_json(file, summary)


def _table(name: str, data: str, results: list[dict[str, Any]]) -> Table:
    collected = _collected(results)
    images = next(
        test["images"]
        for entry in results
        for test in entry["tests"]
        if entry["network"] == name and test["data"] == data
    )
    columns = [("none", 0.0)]
    columns += [(faults, rate) for faults, levels in LEVELS.items() for rate in levels]
    table = Table(
        title=f"{name}, {images} {data} images, accuracy in per cent",
        caption="+: gain over clean training from the same weights, in points",
    )
    table.add_column("training")
    for faults, rate in columns:
        table.add_column("no faults" if rate == 0 else f"{faults} {rate:g}", justify="right")
    for training in TRAININGS:
        cells = []
        for faults, rate in columns:
            hits = collected[name, training, data, faults, rate]
            mean, low, high = interval(hits, images)
            cell = f"{mean:.1f}\n{low:.1f} to {high:.1f}"
            clean = collected[name, "clean", data, faults, rate]
            if training != "clean" and (found := gain(hits, clean, images)):
                cell += "\n{:+.1f}\n{:+.1f} to {:+.1f}".format(*found)
            cells.append(cell)
        table.add_row(training, *cells)
    return table


if __name__ == "__main__":
    sys.exit(run(app))
