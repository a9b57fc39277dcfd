"""Effects of upsets in single layers: by structure, and weighted by population.

rows = summarize(results, space, cycles)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.base.statistics import Estimate, Sample, share, stratified
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.outcome.classify import FaultResult
from holdfast.fault.outcome.effects import EFFECTS


@dataclass(frozen=True)
class Row:
    """Effects in one structure, or in all.

    Attributes
    ----------
    bits, population : int
        Bits, and bits times cycles of the layers.
    faults : int
        Faults injected.
    counts : dict of int
        Faults by effect.
    shares : dict of Estimate
        Share and interval of every effect; ``sdc1`` also as ``undetected_sdc1``, and ``detected``.
        In the row ``total``: weighted by population.
    """

    structure: str
    bits: int
    population: int
    faults: int
    counts: dict[str, int]
    shares: dict[str, Estimate]


def summarize(
    results: Sequence[FaultResult],
    space: FaultSpace,
    cycles: Mapping[str, int],
    confidence: float = 0.95,
) -> list[Row]:
    """A row for every structure that was hit, and the total over all structures, weighted.

    Parameters
    ----------
    cycles : Mapping
        Clock cycles of every layer that could be hit.
    """
    window = sum(cycles.values())
    counted = {
        name: _counts([result for result in results if result.structure == name])
        for name in space.structures
    }
    samples = {
        kind: {n: Sample.counted(counts[kind], counts["n"]) for n, counts in counted.items()}
        for kind in counted[space.structures[0]]
        if kind != "n"
    }
    rows = []
    for name, counts in counted.items():
        if tried := counts.pop("n"):
            shares = {kind: share(of[name], confidence) for kind, of in samples.items()}
            bits = space.bits(name)
            rows.append(Row(name, bits, bits * window, tried, counts, shares))
    population = {name: space.population(window, name) for name in space.structures}
    weighted = {kind: stratified(of, population, confidence) for kind, of in samples.items()}
    total = _counts(results)
    tried = total.pop("n")
    rows.append(Row("total", space.bits(), sum(population.values()), tried, total, weighted))
    return rows


def _counts(results: Sequence[FaultResult]) -> dict[str, int]:
    return {
        "n": len(results),
        **{effect: sum(r.effect == effect for r in results) for effect in EFFECTS},
        "detected": sum(r.detected for r in results),
        "undetected_sdc1": sum(r.effect == "sdc1" and not r.detected for r in results),
    }
