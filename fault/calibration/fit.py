"""A calibrated fault model from campaigns that have ended.

    calibration = fit([folder], graph, limit=2000)

An upset of structure s corrupts a layer of kind k as often as ``r[s, k]`` says, per exposure e:

    r[s, k] = (corrupted layers of kind k) / (faults in s * sum of e[s, l] over layers l of kind k)

towards which the same over all kinds together counts as much as ten faults would: of a kind that
the campaign hardly has, its own few say little. Where a campaign was confined to some layers its
faults are that much denser there.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from holdfast.base.errors import HoldfastError
from holdfast.base.text import printable
from holdfast.base.versions import versions
from holdfast.fault.campaign.manifest import program_hash
from holdfast.fault.campaign.prior import PriorCampaign
from holdfast.fault.model.models.upset import UpsetModel
from holdfast.fault.sampling.sampler import phase_bounds
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.program import Program
from holdfast.nn.errors.empirical import Calibration
from holdfast.nn.errors.exposure import KINDS, STRUCTURES, ArrayShape, exposures, graph_work
from holdfast.nn.errors.templates import Templates
from holdfast.nn.graph.graph import Graph
from holdfast.sim.machine.schedule import Schedule

_MEMORIES = ("weight_memory", "parameter_memory")
_SAME = ("design", "guard", "model")
"""What campaigns that are fitted together have in common."""
_PRIOR = 10
"""Faults that the rate over all kinds of layers counts for in each of them."""


def fit(folders: Sequence[Path], graphs: Sequence[Graph], limit: int = 4000) -> Calibration:
    """Fits the model.

    Parameters
    ----------
    graphs : sequence of Graph
        The network of each campaign.
    limit : int
        Templates that are kept of each structure and kind of layer.

    Raises
    ------
    HoldfastError
        A campaign has no patterns, is of another network or hardware, or is not of single upsets
        over all cycles of its layers.
    """
    campaigns = [_Campaign(PriorCampaign.load(folder), graph) for folder, graph in
                 zip(folders, graphs, strict=True)]  # fmt: skip
    first = campaigns[0]
    for other in campaigns[1:]:
        for name in _SAME:
            if getattr(other.ended.manifest, name) != getattr(first.ended.manifest, name):
                raise HoldfastError(
                    f"{other.ended.folder} and {first.ended.folder} differ in {name}; only "
                    "campaigns of one accelerator and setting can be fitted together."
                )
    structures = [
        name for name in STRUCTURES if any(name in campaign.bits for campaign in campaigns)
    ]
    if not structures:
        raise HoldfastError(
            f"no fault of {first.ended.folder} is in a structure that meets data: "
            f"{', '.join(STRUCTURES)}."
        )
    exposed = np.sum([campaign.exposed(structures) for campaign in campaigns], axis=0)
    found = [campaign.corruptions(structures) for campaign in campaigns]
    corrupted = np.zeros(exposed.shape, np.int64)
    for rows in found:
        np.add.at(corrupted, (rows["structure"], rows["kind"]), 1)
    images = max(campaign.ended.summary.images for campaign in campaigns)
    cfg = first.program.config
    return Calibration(
        bits={name: next(c.bits[name] for c in campaigns if name in c.bits) for name in structures},
        counts={
            name: {
                "faults": sum(campaign.faults.get(name, 0) for campaign in campaigns),
                "images": images,
                "corrupted": dict(zip(KINDS, corrupted[at].tolist(), strict=True)),
            }
            for at, name in enumerate(structures)
        },
        rates=_rates(corrupted, exposed, _PRIOR * images),
        templates=_templates(campaigns, found, limit),
        array=ArrayShape.of(cfg),
        act_bits=cfg.act_bits,
        weight_bits=cfg.weight_bits,
        acc_bits=cfg.acc_bits,
        guard=first.ended.manifest.guard.values,
        provenance={
            "campaigns": [campaign.provenance() for campaign in campaigns],
            "versions": versions(),
        },
    )


def _rates(
    corrupted: NDArray[np.int64], exposed: NDArray[np.float64], prior: float
) -> NDArray[np.float64]:
    """Rates [structure, kind]; 0 for what was never corrupted.

    Parameters
    ----------
    prior : float
        Corruptions at the common rate that are added to each.
    """
    result = np.zeros(exposed.shape)
    for row, hits, trials in zip(result, corrupted, exposed, strict=True):
        seen = hits > 0
        if seen.any():
            common = hits.sum() / trials.sum()
            row[seen] = (hits[seen] + prior) / (trials[seen] + prior / common)
    return result


def recorded_config(ended: PriorCampaign) -> AcceleratorConfig:
    """Returns the accelerator of a campaign."""
    try:
        return AcceleratorConfig(**tomllib.loads(ended.manifest.config))
    except (ValueError, TypeError, RecursionError):
        raise HoldfastError(
            f"{printable(ended.folder / 'manifest.json')} is damaged: config is none."
        ) from None


def struck_program(ended: PriorCampaign, graph: Graph) -> Program:
    """Returns the program that a campaign struck, of its network.

    Raises
    ------
    HoldfastError
        It struck another network.
    """
    program = compile_graph(graph, recorded_config(ended))
    if program_hash(program) != ended.manifest.network:
        raise HoldfastError(
            f"{ended.folder} is a campaign of another network {ended.manifest.name}; "
            "give the one that it struck."
        )
    return program


class _Campaign:
    """A campaign's faults and what they struck."""

    def __init__(self, ended: PriorCampaign, graph: Graph):
        manifest, folder = ended.manifest, ended.folder
        if not manifest.patterns:
            raise HoldfastError(f"{folder} holds no patterns: run its campaign with patterns.")
        self.ended = ended
        self.program = struck_program(ended, graph)
        if manifest.model != UpsetModel().settings():
            raise HoldfastError(f"{folder} is not a campaign of single-bit upsets.")
        filters = manifest.filters
        chosen = any((filters.phases, filters.pattern, filters.pes))
        if chosen or manifest.cycles_drawn != "all":
            raise HoldfastError(
                f"{folder} leaves out cycles or registers; only structures and layers can be "
                "chosen in a campaign to fit."
            )
        schedule = Schedule(self.program)
        self.density = 1.0
        self.confined = bool(filters.layers)
        if self.confined:
            bounds = [phase_bounds(run) for run in schedule.runs if run.step.name in filters.layers]
            inside = sum(end - begin for part in bounds for begin, end in part.values())
            self.density = schedule.cycles / inside
        self.layers = graph_work(graph)
        self._names = {step.name: step.nodes[0] for step in self.program.steps}
        targets = {step.nodes[0]: step.target for step in self.program.steps}
        self._struck = set(filters.layers) or set(self._names)
        self._work = {work.name: work for work in self.layers}
        self._tensors = {targets[name]: name for name in self._work} | {n: n for n in self._work}
        entries = ended.summary.structures
        self.bits = {
            name: entry.bits for name, entry in entries.items()
            if name in STRUCTURES and not (self.confined and name in _MEMORIES)
        }  # fmt: skip
        self.faults = {name: entries[name].faults * ended.summary.images for name in self.bits}
        self._shards = ended.shards()

    def exposed(self, structures: Sequence[str]) -> NDArray[np.float64]:
        """Faults times exposure, [structure, kind]."""
        share = exposures(self.layers, ArrayShape.of(self.program.config))
        struck = {self._names[name] for name in self._struck}
        result = np.zeros((len(structures), len(KINDS)))
        for at, name in enumerate(structures):
            for layer, work in enumerate(self.layers):
                if work.name in struck:
                    result[at, KINDS.index(work.kind)] += (
                        self.faults.get(name, 0) * self.density * share[name][layer]
                    )
        return result

    def corruptions(self, structures: Sequence[str]) -> dict[str, NDArray[np.int64]]:
        """Rows with a pattern in a layer: shard, row, structure and kind."""
        found: dict[str, list[int]] = {n: [] for n in ("shard", "row", "structure", "kind")}
        for number, path in enumerate(self._shards):
            table = self.ended.table(path)
            names, tensors = table["structure"].to_pylist(), table["tensor"].to_pylist()
            for row, (name, tensor) in enumerate(zip(names, tensors, strict=True)):
                node = self._tensors.get(tensor)
                if name not in self.bits or name not in structures or node is None:
                    continue
                kind = KINDS.index(self._work[node].kind)
                for key, value in zip(found, (number, row, structures.index(name), kind),
                                      strict=True):  # fmt: skip
                    found[key].append(value)
        return {key: np.array(values, np.int64) for key, values in found.items()}

    def patterns(self, shard: int, rows: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
        """Patterns of rows of a shard."""
        columns = ["tensor", "domain", "elements", "golden", "faulty", "gain"]
        table = self.ended.table(self._shards[shard]).select(columns).take(pa.array(rows))
        for at in range(len(rows)):
            work = self._work[self._tensors[table["tensor"][at].as_py()]]
            elements, golden, faulty = (
                np.asarray(table[name][at].values, np.int64) for name in columns[2:5]
            )
            channel, y, x = np.unravel_index(elements, work.shape)
            cols = self.program.config.cols
            code = table["domain"][at].as_py() == "code"
            yield {
                "code": code,
                "gain": table["gain"][at].as_py(),
                "height": work.shape[1],
                "width": work.shape[2],
                "channel": channel - channel.min() // cols * cols,
                "y": y,
                "x": x,
                "golden": golden if code else np.zeros_like(golden),
                "change": faulty - golden,
            }

    def provenance(self) -> dict[str, Any]:
        """Returns where the campaign's part comes from."""
        manifest, summary = self.ended.manifest, self.ended.summary
        unseen = sum(
            pc.sum(
                pc.and_(
                    pc.equal(table["path"].cast(pa.string()), "end"),
                    pc.is_in(table["effect"].cast(pa.string()), pa.array(["benign", "sdc1"])),
                )
            ).as_py() or 0
            for table in map(self.ended.table, self._shards)
        )  # fmt: skip
        text = json.dumps(manifest.to_json(), sort_keys=True).encode()
        return {
            "manifest": hashlib.sha256(text).hexdigest(),
            "network": manifest.name,
            "accelerator": manifest.accelerator,
            "layers": list(manifest.filters.layers),
            "faults": summary.faults,
            "images": summary.images,
            "seed": manifest.seed,
            "followed_to_the_end": unseen,
        }


def _templates(
    campaigns: Sequence[_Campaign], found: Sequence[Mapping[str, NDArray[np.int64]]], limit: int
) -> Templates:
    """At most ``limit`` patterns of each structure and kind, drawn evenly, in that order."""
    every = {
        key: np.concatenate([rows[key] for rows in found])
        for key in ("shard", "row", "structure", "kind")
    }
    which = np.repeat(np.arange(len(found)), [len(rows["row"]) for rows in found])
    generator = np.random.default_rng(0)
    group = every["structure"] * len(KINDS) + every["kind"]
    chosen = np.concatenate(
        [
            np.sort(generator.permutation(np.flatnonzero(group == value))[:limit])
            for value in np.unique(group)
        ]
        or [np.empty(0, np.int64)]
    )
    patterns: dict[int, dict[str, Any]] = {}
    for number, campaign in enumerate(campaigns):
        mine = chosen[which[chosen] == number]
        for shard in np.unique(every["shard"][mine]):
            part = mine[every["shard"][mine] == shard]
            rows = every["row"][part]
            patterns |= zip(part.tolist(), campaign.patterns(int(shard), rows), strict=True)
    ordered = [patterns[at] for at in chosen.tolist()]

    def each(name: str, kind: torch.dtype) -> torch.Tensor:
        return torch.tensor([pattern[name] for pattern in ordered], dtype=kind)

    def elements(name: str) -> torch.Tensor:
        parts = [pattern[name] for pattern in ordered] or [np.empty(0, np.int64)]
        return torch.from_numpy(np.concatenate(parts)).to(torch.int32)

    lengths = torch.tensor([0, *(len(pattern["y"]) for pattern in ordered)])
    return Templates(
        structure=torch.from_numpy(every["structure"][chosen]),
        kind=torch.from_numpy(every["kind"][chosen]),
        code=each("code", torch.bool),
        gain=each("gain", torch.float32),
        height=each("height", torch.int64),
        width=each("width", torch.int64),
        begin=lengths.cumsum(0),
        channel=elements("channel"),
        y=elements("y"),
        x=elements("x"),
        golden=elements("golden"),
        change=elements("change"),
    )
