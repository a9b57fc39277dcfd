"""``nox -s bench -- intervals``: how often intervals of simulated campaigns hold the truth.

Writes build/bench/intervals.json with every point, and prints the least and the mean coverage of
each group of points, and the widths. "Former" is Wilson's interval of as many trials as a design
effect from the spread between faults leaves, strata combined by MOVER, which Holdfast had before.
Where nothing failed in both of two settings no ratio is claimed, which counts as right.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
from holdfast.base.files import write_atomically
from holdfast.base.paired import change
from holdfast.base.progress import progress_bar
from holdfast.base.statistics import Sample, limits, quantile, stratified
from holdfast.base.table import plain_table
from holdfast.fault.campaign.stopping import next_look, raised
from tests.bench.piloted import FAULTS, SHARES, STRUCTURES, UNUSED, rates
from tests.bench.simulated import Faults

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

TAIL = 0.025
"""To either side of a 95 % interval."""
BITS = (448, 1090, 2150, 892, 198_000, 3530, 165, 524_000, 2_360_000, 80_000, 65_600, 1430, 830)
"""Of the structures of ResNet-8 on 8x8."""
_WEIGHTS = np.array(BITS) / sum(BITS)
_LARGEST = int(np.argmax(_WEIGHTS))
_FAULTS = (20, 50, 200, 1458, 5000, 20_000)
_IMAGES = (1, 2, 4, 8, 16)
_SHARES = (1e-6, 1e-5, 1e-4, 8e-4, 1e-3, 5e-3, 0.01, 0.03, 0.1, 0.3, 0.5)
_EXPECTED = (0.3, 1.0, 3.0, 5.0, 10.0)
_MOST_STOPPED = 1000
"""Campaigns that stop early: they are simulated one by one."""
_CORRELATIONS = (0.0, 0.05, 0.2, 0.5, 0.8, 1.0)

Point = dict[str, Any]


def interval(samples: list[Sample], weights: NDArray) -> tuple[NDArray, NDArray]:
    """Limits as `base.statistics.stratified` gives them, of many campaigns at once."""
    means = np.array([np.asarray(sample.mean) for sample in samples])
    none, all_failed = (means == 0).all(0), (means == 1).all(0)
    low, high = limits(samples, weights, TAIL)
    least, most = limits(samples, weights, 2 * TAIL)
    return np.where(all_failed, least, low), np.where(none, most, high)


def former(samples: list[Sample], weights: NDArray, images: int) -> tuple[NDArray, NDArray]:
    """Wilson's limits with an estimated design effect, combined by MOVER."""
    z, value, below, above = quantile(0.95), 0.0, 0.0, 0.0
    for sample, weight in zip(samples, weights, strict=True):
        p, trials = sample.mean, np.full_like(sample.mean, sample.faults * images)
        with np.errstate(divide="ignore", invalid="ignore"):
            effect = sample.variance / (sample.faults - 1) * trials / (p * (1 - p))
        trials = np.where((p > 0) & (p < 1), trials / np.maximum(effect, 1), trials)
        centre = (p + z * z / (2 * trials)) / (1 + z * z / trials)
        reach = np.sqrt(p * (1 - p) / trials + z * z / (4 * trials**2))
        reach *= z / (1 + z * z / trials)
        value = value + weight * p
        below = below + (weight * (p - np.maximum(0, centre - reach))) ** 2
        above = above + (weight * (np.minimum(1, centre + reach) - p)) ** 2
    return np.maximum(0, value - np.sqrt(below)), np.minimum(1, value + np.sqrt(above))


def _judged(samples: list[Sample], weights: NDArray, truth: float, **what: Any) -> Point:
    found = {"now": interval(samples, weights), "former": former(samples, weights, what["images"])}
    return what | {
        f"{name} {key}": float(value.mean())
        for name, (low, high) in found.items()
        for key, value in (("coverage", (low <= truth) & (truth <= high)), ("width", high - low))
    }


def _models(images: int) -> Iterator[tuple[float, bool]]:
    """Correlations, and whether they are those of a beta distribution."""
    for rho in _CORRELATIONS if images > 1 else (0.0,):
        for beta in (False, True) if 0 < rho < 1 else (False,):
            yield rho, beta


def one_stratum(source: np.random.Generator, repetitions: int) -> Iterator[Point]:
    """One stratum: faults, images, shares and correlations."""
    one = np.ones(1)
    for faults, images in product(_FAULTS, _IMAGES):
        shares = [*_SHARES, *(expected / faults for expected in _EXPECTED)]
        for share, (rho, beta) in product(shares, _models(images)):
            model = Faults((share,), images, rho, beta)
            sample = model.failed(model.draw(source, faults, repetitions))
            yield _judged(
                [sample], one, share, group=_kind(faults * share, images), faults=faults,
                images=images, share=share, correlation=rho, beta=beta,
            )  # fmt: skip


def _kind(expected: float, images: int) -> str:
    many = "20 and more failures" if expected >= 20 else "under 20 failures"
    return f"{'1 image' if images == 1 else '2 to 16 images'}, {many}"


def _scenarios(source: np.random.Generator) -> dict[str, NDArray]:
    """Shares of failures by structure."""
    strata = len(BITS)
    none = np.full(strata, 1e-6)
    here = np.arange(strata)
    return {
        "rare": 10 ** source.uniform(-6, -3, strata),
        "mixed": 10 ** source.uniform(-4, -0.3, strata),
        "nearly all in one": np.where(here == source.integers(strata), 0.2, none),
        "only in the largest": np.where(here == _LARGEST, 10 ** source.uniform(-4, -1), none),
        "none in the largest": np.where(here == _LARGEST, 1e-5, 10 ** source.uniform(-4, -1)),
        "alike": np.full(strata, 0.3),
        "nearly all": 1 - 10 ** source.uniform(-4, -0.5, strata),
    }


def strata(source: np.random.Generator, repetitions: int) -> Iterator[Point]:
    """The weighted total of 13 strata."""
    for (count, least), (images, rho) in product(
        ((1, 20), (100, 2), (260, 5), (1000, 20), (5000, 20), (20_000, 200)),
        ((1, 0.0), (2, 0.5), (2, 1.0), (4, 0.2), (8, 1.0), (16, 0.1)),
    ):
        faults = [max(least, int(np.ceil(count * weight))) for weight in _WEIGHTS]
        for name, shares in _scenarios(source).items():
            samples = []
            for number, share in zip(faults, shares, strict=True):
                model = Faults((float(share),), images, rho)
                samples.append(model.failed(model.draw(source, number, repetitions)))
            few = "2 or 5" if least < 20 else "20"
            yield _judged(
                samples, _WEIGHTS, float(_WEIGHTS @ shares),
                group=f"13 strata of {few} and more", faults=sum(faults), images=images,
                correlation=rho, shares=name,
            )  # fmt: skip


def pairs(source: np.random.Generator, repetitions: int) -> Iterator[Point]:
    """Differences and ratios of the same faults in two settings."""
    for faults, images, share, ratio, kept in product(
        (50, 200, 1458, 20_000), (1, 2, 8), (5e-4, 0.005, 0.05, 0.3), (0.0, 0.3, 1.0, 2.0),
        (0.2, 0.9, 1.0),
    ):  # fmt: skip
        # Of those that fail less often, so many also fail in the other setting.
        both = kept * share * min(ratio, 1)
        for rho, beta in ((0.0, False), (0.5, False), (0.5, True), (1.0, False)):
            if images == 1 and rho:
                continue
            model = Faults((both, share - both, share * ratio - both), images, rho, beta)
            counts = model.draw(source, faults, repetitions)
            found = {"difference": _holds(model, counts, 1.0)[0]}
            if ratio:
                found["ratio"] = _holds(model, counts, ratio)[1]
            for what, holds in found.items():
                yield {
                    "group": f"paired {what}", "faults": faults, "images": images, "share": share,
                    "ratio": ratio, "kept": kept, "correlation": rho, "beta": beta,
                    "now coverage": float(holds.mean()),
                }  # fmt: skip


def _holds(model: Faults, counts: NDArray, factor: float) -> tuple[NDArray, NDArray]:
    """In which campaigns a difference, and a ratio of ``factor``, are within their limits."""
    before, after = (model.patterns[:, [0, way]].sum(1) / model.images for way in (1, 2))
    gap = after - factor * before
    truth = model.shares[2] + model.shares[0] - factor * (model.shares[0] + model.shares[1])
    more = [model.sample(counts, np.maximum(gap, 0))]
    less = [model.sample(counts, np.maximum(-gap, 0) / factor)]
    low, high = change(more, less, [1.0], factor, TAIL)
    least, most = change(more, less, [1.0], factor, 2 * TAIL)
    first, second = (model.sample(counts, values).mean for values in (before, after))
    none = (first == 0) & (second == 0)
    above = np.where(second == 0, most >= 0, np.where(first == 0, True, high >= 0))
    below = np.where(first == 0, least <= 0, np.where(second == 0, True, low <= 0))
    return (low <= truth) & (truth <= high), none | (above & below)


def stopped(source: np.random.Generator, repetitions: int) -> Iterator[Point]:
    """A campaign that looks until its interval is narrow enough (``--stop-at``)."""
    most = 20_000
    for images, share, margin, first in product(
        (1, 4), (1e-3, 0.005, 0.02, 0.1, 0.3), (0.002, 0.005, 0.01, 0.03), (100, 1000)
    ):
        model = Faults((share,), images, 0.5 if images > 1 else 0.0)
        judged = _looks(model, margin, first, most)
        held, faults, looks = 0, 0, 0
        for _ in range(min(repetitions, _MOST_STOPPED)):
            counts = model.draw(source, first, 1)[0]
            while True:
                ends, inside, units = judged(tuple(counts.tolist()))
                looks += 1
                if ends:
                    break
                counts = counts + model.draw(source, units * first - counts.sum(), 1)[0]
            held, faults = held + inside, faults + int(counts.sum())
        many = min(repetitions, _MOST_STOPPED)
        yield {
            "group": "--stop-at", "first": first, "images": images, "share": share,
            "margin": margin, "now coverage": held / many, "faults": faults / many,
            "looks": looks / many,
        }  # fmt: skip


def _looks(
    model: Faults, margin: float, first: int, most: int
) -> Callable[[tuple[int, ...]], tuple[bool, bool, int]]:
    """Says of faults by pattern whether they are enough, whether their interval holds the truth,
    and how many units the next look has.
    """
    level = raised(1 - 2 * TAIL)

    @cache
    def judged(counts: tuple[int, ...]) -> tuple[bool, bool, int]:
        found = model.failed(np.array([counts]))
        sample = Sample(sum(counts), float(found.mean[0]), float(found.variance[0]))
        here = stratified({"": sample}, {"": 1}, level)
        units = sum(counts) // first
        inside = here.low <= model.shares[0] <= here.high
        if (here.high - here.low) / 2 <= margin or sum(counts) >= most:
            return True, inside, units
        plan = ({"": sample}, {"": 1}, {"": most})
        return False, inside, next_look(*plan, first, units, margin, level)

    return judged


def piloted(source: np.random.Generator, repetitions: int) -> Iterator[Point]:
    """A campaign whose draws a pilot decided, and one of eight times its faults in proportion."""
    structures = np.bincount(STRUCTURES, SHARES)
    for unseen, times in product((0.0, 1.0, 2.0, 10.0), (1, 2, 4)):
        shares = rates(unseen)
        samples = [
            Sample.counted(
                source.binomial(times * faults, share, repetitions), times * faults, idle
            )
            for faults, share, idle in zip(FAULTS, shares, UNUSED, strict=True)
        ]
        low, high = interval(samples, SHARES)
        truth = float(SHARES @ shares)
        plain = []
        for weight, share in zip(structures, np.bincount(STRUCTURES, SHARES * shares), strict=True):
            faults = max(200, int(np.ceil(80_000 * times * weight)))
            failed = source.binomial(faults, share / weight, repetitions)
            plain.append(Sample.counted(failed, faults))
        least, most = interval(plain, structures)
        yield {
            "group": "draws by a pilot", "faults": times * int(FAULTS.sum()), "images": 1,
            "share": truth, "unseen": unseen,
            "now coverage": float(((low <= truth) & (truth <= high)).mean()),
            "now width": float((high - low).mean()), "plain width": float((most - least).mean()),
            "plain faults": sum(sample.faults for sample in plain),
        }  # fmt: skip


def both(source: np.random.Generator, repetitions: int) -> Iterator[Point]:
    """A campaign whose draws a pilot decided, and that stops when its interval is narrow enough."""
    planned, level, many = 4 * FAULTS, raised(1 - 2 * TAIL), min(repetitions, _MOST_STOPPED)
    sizes = dict(enumerate(SHARES))
    counts = dict(enumerate(planned.tolist()))
    for unseen, margin, unit in product((0.0, 1.0, 10.0), (4e-4, 2e-4, 1e-4), (100, 1000)):
        shares, held, faults, looks = rates(unseen), 0, 0, 0
        truth = float(SHARES @ shares)
        for _ in range(many):
            units, failed, drawn = 1, np.zeros_like(planned), np.zeros_like(planned)
            while True:
                now = np.minimum(planned, units * unit)
                failed, drawn = failed + source.binomial(now - drawn, shares), now
                samples = {
                    number: Sample.counted(*part)
                    for number, part in enumerate(
                        zip(failed.tolist(), drawn.tolist(), UNUSED, strict=True)
                    )
                }
                here, looks = stratified(samples, sizes, level), looks + 1
                if (here.high - here.low) / 2 <= margin or (drawn == planned).all():
                    break
                units = next_look(samples, sizes, counts, unit, units, margin, level)
            held, faults = held + (here.low <= truth <= here.high), faults + int(drawn.sum())
        yield {
            "group": "--pilot and --stop-at", "unit": unit, "images": 1, "share": truth,
            "unseen": unseen, "margin": margin, "now coverage": held / many,
            "faults": faults / many, "looks": looks / many,
        }  # fmt: skip


PARTS = {"one": one_stratum, "strata": strata, "pairs": pairs, "stopped": stopped,
         "piloted": piloted, "both": both}  # fmt: skip


@app.command()
def intervals(
    repetitions: Annotated[int, typer.Option(help="Campaigns of every point.")] = 10_000,
    parts: Annotated[str, typer.Option(help=f"Of {', '.join(PARTS)}.")] = ",".join(PARTS),
    seed: Annotated[int, typer.Option(help="Seed of the campaigns.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder of the JSON.")] = Path("build/bench"),
) -> int:
    """Simulate campaigns and count how often their intervals hold the truth."""
    if repetitions < 1:
        raise HoldfastError(f"--repetitions must be at least 1, not {repetitions}.")
    points: list[Point] = []
    for number, name in enumerate(parts.split(",")):
        if name not in PARTS:
            raise HoldfastError(f"there is no part {name!r}; known are {', '.join(PARTS)}.")
        source = np.random.default_rng([seed, number])
        with progress_bar() as progress:
            task = progress.add_task(name, total=None, rate="")
            for point in PARTS[name](source, repetitions):
                points.append(point)
                progress.update(task, advance=1)
    groups = {group: _group(points, group) for group in dict.fromkeys(p["group"] for p in points)}
    result = {"repetitions": repetitions, "seed": seed, "groups": groups, "points": points}
    write_atomically(output / "intervals.json", json.dumps(result, indent=1).encode())
    console.print(_table(groups))
    console.print(f"{output / 'intervals.json'} written.")
    return 0


def _group(points: list[Point], group: str) -> dict[str, Any]:
    """The least and the mean coverage of a group, and what became of the widths."""
    here = [point for point in points if point["group"] == group]
    now = np.array([point["now coverage"] for point in here])
    result: dict[str, Any] = {
        "points": len(here), "least": now.min(), "mean": now.mean(),
        "below 94 %": int((now < 0.94).sum()), "worst": here[int(now.argmin())],
    }  # fmt: skip
    if "plain width" in here[0]:
        widths = np.array([point["now width"] / point["plain width"] for point in here])
        result["width against plain"] = float(np.median(widths))
    if "former coverage" in here[0]:
        before = np.array([point["former coverage"] for point in here])
        widths = np.array([point["now width"] / point["former width"] for point in here])
        right = widths[before >= 0.94]
        result |= {
            "former least": before.min(), "former below 94 %": int((before < 0.94).sum()),
            "width": np.median(widths), "width where right before": np.median(right),
        }  # fmt: skip
    return result


def _table(groups: Mapping[str, Mapping[str, Any]]) -> Table:
    columns = ("points", "least", "mean", "< 94", "former least", "< 94", "width")
    table = plain_table("Coverage of 95 % intervals, per cent", "campaigns", *columns, gap=1)
    for name, entry in groups.items():
        cells = [str(entry["points"]), f"{100 * entry['least']:.1f}", f"{100 * entry['mean']:.1f}",
                 str(entry["below 94 %"])]  # fmt: skip
        if "former least" in entry:
            cells += [f"{100 * entry['former least']:.1f}", str(entry["former below 94 %"]),
                      f"{entry['width where right before']:.2f}"]  # fmt: skip
        elif "width against plain" in entry:
            cells += ["", "", f"{entry['width against plain']:.2f}"]
        table.add_row(name, *cells)
    return table


if __name__ == "__main__":
    sys.exit(run(app))
