"""Failure rates of a campaign in an environment, and the metrics of a safety worksheet.

    rates = failure_rates(environment, tables, summary, whole=())
    rates.units["total"]["sdc1"].fit, rates.worksheet.spfm

The rate of an effect is the sum over all bits of how often one is upset times the share of its
upsets with that effect. Each fault drawn stands for as many bits as any other of its stratum, so a
stratum's rate is its upset rate times the mean, over its faults, of the effect weighted by the rate
of the bit that was struck. Upset rates are taken as exact. So limits are those of the weighted
shares (`base.statistics`), with upset rates for weights. An accelerator is taken to compute without
a pause.

The worksheet follows ISO 26262-5:2018, annex C, with these classes of upsets:

- residual (single-point, where nothing guards): the class is wrong and nothing was flagged, or an
  end that the system does not notice;
- covered (multiple-point, detected): the class is wrong but a flag was up, or an end that the
  system notices (``covered`` of the environment);
- latent (multiple-point): the class is right, but what a later inference reads is wrong, unflagged;
- safe: all others.

With r, c, l for the rates of the first three and a for all upsets:
SPFM = 1 - r / a, LFM = 1 - l / (a - r), DC = c / (c + r).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from holdfast.base.errors import HoldfastError
from holdfast.base.statistics import Estimate, Sample, stratified
from holdfast.base.text import printable
from holdfast.fault.outcome.effects import EFFECTS

from .environment import Environment
from .record import Summary
from .rows import Rows

HOURS = 1e9
KINDS = ("raw", *EFFECTS, "avf", "undetected_sdc1", "detected", "residual", "covered",
         "latent_fault")  # fmt: skip
_HARMLESS = ("masked", "latent", "latent_fault")


@dataclass(frozen=True)
class Rate:
    """Failures in 1e9 hours with their limits, and hours between two; None: endless."""

    fit: float
    low: float
    high: float
    hours: float | None
    hours_low: float | None
    hours_high: float | None

    @classmethod
    def of(cls, share: Estimate, upsets: float, most: float) -> "Rate":
        """Makes a rate of the share of so many upsets, of which ``most`` exist."""
        fit, low, high = (min(most, upsets * v) for v in (share.value, share.low, share.high))
        return cls(fit, low, high, _hours(fit), _hours(high), _hours(low))


@dataclass(frozen=True)
class Worksheet:
    """Holds single-point and latent fault metric and diagnostic coverage; None: none to cover."""

    spfm: Estimate
    lfm: Estimate | None
    dc: Estimate | None


@dataclass(frozen=True)
class FailureRates:
    """Holds rates by structure and ``total``, each by :data:`KINDS`; ``raw`` are upsets.

    Attributes
    ----------
    part : str
        What filters left of the space; empty: all of it.
    """

    environment: Environment
    confidence: float
    units: Mapping[str, Mapping[str, Rate]]
    worksheet: Worksheet
    part: str = ""


def failure_rates(
    environment: Environment,
    tables: Iterable[pa.Table],
    summary: Summary,
    whole: Collection[str] = (),
) -> FailureRates:
    """Rates of a campaign's results.

    Parameters
    ----------
    whole : collection of str
        Structures of which every fault was tried.

    Raises
    ------
    HoldfastError
        A kind of bit has no rate, or the campaign is not of single upsets or takes shortcuts.
    """
    settings = summary.settings
    model = settings.get("model", {})
    if model.get("bits") != 1 or model.get("stuck") is not None:
        raise HoldfastError("failure rates are of single upsets, not of other faults.")
    check_exact(settings.get("cycles_drawn", "all"), settings.get("requantize") or "sum")
    rows = Rows(tables)
    kinds = _kinds(rows, environment)
    memory = np.char.count(rows.columns["fault"].astype(str), "[") > 1
    samples: dict[str, dict[str, Sample]] = {}
    upsets: dict[str, dict[str, float]] = {}
    raw: dict[str, float] = {}
    for structure in summary.structures:
        upsets[structure] = {}
        here = rows.faults(structure)
        entry = summary.structures[structure]
        if entry.flip_flops is None:
            raise HoldfastError(
                "the summary does not tell flip-flops from memories, as an earlier Holdfast left "
                "it; the campaign's own command renews it and computes nothing again."
            )
        bits = {False: entry.flip_flops, True: entry.bits - entry.flip_flops}
        kept = {flag: environment.fit(structure, flag) for flag, n in bits.items() if n}
        raw[structure] = sum(rate * bits[flag] for flag, rate in kept.items())
        most = max(kept.values())
        scale = np.array([kept.get(flag, 0.0) for flag in (False, True)])[memory.astype(int)]
        for stratum, size, some in _strata(rows, structure, here, summary):
            upsets[structure][stratum] = most * size / summary.cycles
            idle = stratum != structure and stratum.endswith(".0")
            for kind, hits in kinds.items():
                value = (hits[some] * scale[some]).reshape(-1, summary.images) / (most or 1.0)
                known = structure in whole or (idle and kind not in _HARMLESS and not value.any())
                sample = Sample.of(value, known)
                samples.setdefault(kind, {})[stratum] = sample
    raw["total"] = sum(raw.values())
    upsets["total"] = {n: rate for found in upsets.values() for n, rate in found.items()}
    level = summary.level or summary.confidence
    units = {
        name: {"raw": Rate.of(Estimate(1.0, 1.0, 1.0), raw[name], raw[name])}
        | {k: _rate(found, upsets[name], raw[name], level) for k, found in samples.items()}
        for name in raw
    }
    sheet = _worksheet(units["total"])
    return FailureRates(environment, summary.confidence, units, sheet, _part(summary))


def check_exact(cycles: str, requantize: str) -> None:
    """Raises a HoldfastError where a campaign is not of what the hardware does."""
    if (cycles, requantize) != ("all", "sum"):
        raise HoldfastError(
            f"failure rates are of all cycles and of whole sums, not of {printable(cycles)} "
            f"and {printable(requantize)}."
        )


def _part(summary: Summary) -> str:
    """Names what filters left of the space; empty: all of it."""
    filters = dict(summary.settings.get("filters") or {})
    filters["pes"] = [f"{row}.{col}" for row, col in filters.get("pes") or ()]
    texts = {k: v if isinstance(v, str) else ", ".join(v) for k, v in filters.items()}
    return printable("; ".join(f"{key} {text}" for key, text in texts.items() if text), 200)


def _kinds(rows: Rows, environment: Environment) -> dict[str, NDArray[np.bool_]]:
    """Tells which rows count as what."""
    found = rows.kinds()
    ended = np.zeros(rows.rows, bool)
    for effect in environment.covered:
        ended |= found[effect]
    dangerous = found["sdc1"] | found["stopped"] | found["hang"]
    covered = dangerous & (ended | found["detected"])
    own = {
        "residual": dangerous & ~covered,
        "covered": covered,
        "latent_fault": found["latent"] & ~found["detected"],
    }
    return {kind: own[kind] if kind in own else found[kind] for kind in KINDS[1:]}


def _strata(
    rows: Rows, structure: str, here: NDArray[np.intp], summary: Summary
) -> list[tuple[str, int, NDArray[np.intp]]]:
    """Strata of a structure: name, population and rows."""
    if summary.sampling is None:
        entry = summary.structures[structure]
        return [(structure, entry.population or entry.bits * summary.cycles, here)]
    return [
        (name, stratum.population, here[rows.equals("stratum", name)[here]])
        for name, stratum in summary.sampling.strata.items()
        if name.rpartition(".")[0] == structure
    ]


def _hours(fit: float) -> float | None:
    return HOURS / fit if fit > 0 else None


def _rate(
    samples: Mapping[str, Sample], upsets: Mapping[str, float], raw: float, confidence: float
) -> Rate:
    total = sum(upsets.values())
    if not total:
        return Rate.of(Estimate(0.0, 0.0, 0.0), 0.0, 0.0)
    found = stratified({n: samples[n] for n in upsets}, upsets, confidence)
    # Of a structure whose bits are upset unlike, shares of the highest rate can say more than all.
    return Rate.of(found, total, raw)


def _worksheet(total: Mapping[str, Rate]) -> Worksheet:
    """Metrics; the limits of a quotient take those of both of its parts at once."""
    every, residual = total["raw"].fit, total["residual"]
    covered, latent = total["covered"], total["latent_fault"]
    spfm = (
        Estimate(*(1 - value / every for value in (residual.fit, residual.high, residual.low)))
        if every
        else Estimate(1.0, 1.0, 1.0)
    )

    def part(one: float, other: float) -> float:
        return one / (one + other) if one + other else 1.0

    left = every - residual.fit
    lfm = None
    if left > 0:
        least = max(0.0, 1 - latent.high / max(every - residual.high, 1e-300))
        lfm = Estimate(1 - latent.fit / left, least, 1 - latent.low / (every - residual.low))
    dc = None
    if covered.fit + residual.fit:
        dc = Estimate(
            part(covered.fit, residual.fit), part(covered.low, residual.high),
            part(covered.high, residual.low),
        )  # fmt: skip
    return Worksheet(spfm, lfm, dc)
