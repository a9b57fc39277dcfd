"""Reliability of a network on an accelerator: a fault campaign, with and without the guard."""

import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.fault.campaign.campaign import CampaignSettings, prepare
from holdfast.fault.campaign.unit import UnitId
from holdfast.fault.campaign.workers import Worker
from holdfast.fault.model.models.upset import UpsetModel
from holdfast.fault.results.record import Summary
from holdfast.fault.results.summary import compare, summarize
from holdfast.fault.sampling.plan import Plan
from holdfast.fault.sampling.sampler import Filters
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.data.choice import images_for
from holdfast.nn.graph.guard_modes import GUARDS

from .base import Measured
from .networks import load

ACTIVATIONS = ("pe_activation", "skew", "activation_memory")
"""Structures that hold activations on their way through the array and between layers."""

_TOTALS = ("sdc1", "undetected_sdc1", "avf", "detected", "sdc5", "sdc10", "sdc20")


@dataclass(frozen=True)
class Campaign(Measured):
    """Injects single-bit upsets into whole inferences; every guard setting gets the same faults.

    Parameters
    ----------
    config : AcceleratorConfig
        With the guard in the netlist, which its register switches.
    guards : tuple of str
        The first is what the others are compared with.
    faults, minimum : int
        To draw, and the least in each structure.
    structures : tuple of str
        Structures to hit; empty: all.
    audit : float
        Share of the faults that plain RTL computes again.
    """

    network: Path
    config: AcceleratorConfig
    guards: tuple[str, ...]
    faults: int
    minimum: int
    structures: tuple[str, ...]
    images: int
    seed: int
    audit: float
    data: Path | None

    kind: ClassVar[str] = "campaign"

    def run(self) -> dict[str, Any]:
        """Returns, by guard, shares of the whole space and of :data:`ACTIVATIONS` alone, with
        intervals; against the first guard what `fault.results.summary.compare` says of the
        same faults.
        """
        graph = load(self.network)
        images = images_for(graph, self.data, self.images, self.seed)
        prepared = prepare(
            CampaignSettings(
                graph, self.config, images, self.guards, self.faults, self.minimum,
                filters=Filters(structures=self.structures), seed=self.seed, audit=self.audit,
            )
        )  # fmt: skip
        plan, spec = prepared.plan, prepared.spec
        own = tuple(name for name in ACTIVATIONS if name in plan.structures)
        parts = {"all": plan}
        if own and own != plan.structures:
            parts["activations"] = Plan(
                plan.space, plan.schedule, UpsetModel(), Filters(structures=own)
            )
        result: dict[str, Any] = {
            "set": images.name, "images": self.images, "bits": plan.space.bits(),
            "cycles": plan.cycles, "guards": {},
        }  # fmt: skip
        first: dict[str, list[pa.Table]] = {}
        for guard in self.guards:
            worker = Worker(replace(spec, guard=GUARDS[guard]))
            shards = {unit: _table(worker.compute(unit)[0]) for unit in spec.units()}
            entry: dict[str, Any] = {}
            for name, part in parts.items():
                tables = list(_of(shards, part.structures))
                entry[name] = _kept(summarize(tables, part, self.images))
                if name not in first:
                    first[name] = tables
                else:
                    entry[name]["pairs"] = compare(first[name], tables, part, self.images)
            result["guards"][guard] = entry
        return result


def _table(content: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(content))


def _of(shards: dict[UnitId, pa.Table], structures: Iterable[str]) -> Iterable[pa.Table]:
    wanted = set(structures)
    return (table for unit, table in shards.items() if unit.structure in wanted)


def _kept(summary: Summary) -> dict[str, Any]:
    """Returns what a point needs of a campaign's summary."""
    return {
        "faults": summary.faults,
        "population": summary.population,
        "total": {name: summary.total[name] for name in _TOTALS},
        "structures": {
            name: {"faults": entry.faults, "sdc1": entry.counts["sdc1"],
                   "avf": entry.counts["avf"]}
            for name, entry in summary.structures.items()
        },
        "audit": asdict(summary.audit),
    }  # fmt: skip
