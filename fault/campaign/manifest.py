"""What a campaign is: the manifest in its folder.

    manifest(job, plan)                 # plain data
    read_manifest(folder)               # of this version and of earlier ones
    different(found, here)              # keys that make two campaigns
    program_differs(found, here)        # whether other code would compute the units

What was computed with other code can be shown, but not gone on with.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.base.cache import digest
from holdfast.base.files import read_json
from holdfast.base.sources import source_hash
from holdfast.base.text import printable
from holdfast.base.versions import COMPUTING, versions
from holdfast.fault.sampling.plan import Plan
from holdfast.nn.compiler.program import Program

from .spec import CampaignSpec

__all__ = [
    "campaign_hash",
    "different",
    "images_hash",
    "manifest",
    "program_differs",
    "program_hash",
    "read_manifest",
    "settings",
]

_FORMAT = 1
_PROGRAM = ("sources", "versions")


def manifest(job: CampaignSpec, plan: Plan) -> dict[str, Any]:
    """What makes two campaigns the same, and what computed it."""
    return {
        "format": _FORMAT,
        "design": job.netlist.hash,
        "config": job.program.config.to_toml(),
        "network": program_hash(job.program),
        "images": images_hash(job.codes),
        **settings(job, plan),
        "sources": source_hash("holdfast.fault.campaign.workers"),
        "versions": versions(),
    }


def settings(job: CampaignSpec, plan: Plan) -> dict[str, Any]:
    """What of it a report shows."""
    shortcuts = asdict(job.shortcuts)
    return {
        "name": job.program.graph.network,
        "accelerator": job.program.config.name,
        "guard": asdict(job.guard),
        "model": job.model.settings(),
        "filters": asdict(job.filters),
        # Not their number: which of them faults are drawn from.
        "cycles_drawn": shortcuts.pop("cycles"),
        **shortcuts,
        "faults": job.counts,
        "unit": job.size,
        "seed": job.seed,
        "audit": job.audit,
        # Not in the manifests of earlier versions, which are still good.
        **({"patterns": True} if job.patterns else {}),
        **({"whole": whole} if (whole := sorted(plan.tried_whole(job.counts))) else {}),
    }


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest in a campaign's folder.

    Raises
    ------
    HoldfastError
        There is none, or it is damaged.
    """
    found = read_json(folder / "manifest.json", "manifest")
    if "cycles" in found:
        # Its name in earlier versions.
        found.setdefault("cycles_drawn", found.pop("cycles"))
    if isinstance(found.get("guard"), dict):
        found["guard"].setdefault("fixed", False)
    return found


def different(found: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Keys in which two manifests are not of the same campaign."""
    keys = sorted((found.keys() | here.keys()) - {*_PROGRAM})
    return [key for key in keys if found.get(key) != here.get(key)]


def program_differs(found: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What of the code that computes units differs; empty if they would be the same."""
    if found.get("sources") != here.get("sources"):
        return "other sources of Holdfast" if "sources" in found else "an earlier Holdfast"
    its, mine = found.get("versions"), here.get("versions", {})
    for name in COMPUTING:
        version = its.get(name) if isinstance(its, dict) else None
        if version != mine.get(name):
            return f"{name} {printable(version, 40)}, not {mine.get(name)}"
    return ""


def campaign_hash(found: Mapping[str, Any]) -> str:
    """Of what makes units belong together: all but the versions of what cannot change them."""
    return digest({key: value for key, value in found.items() if key != "versions"})


def program_hash(program: Program) -> str:
    """Of a network as it lies in an accelerator's memories."""
    digest = hashlib.sha256(program.descriptors.tobytes())
    for chunk in program.chunks:
        digest.update(chunk.weights.tobytes() + chunk.parameters.tobytes())
    return digest.hexdigest()


def images_hash(codes: NDArray[np.int8]) -> str:
    """Of a campaign's images."""
    return hashlib.sha256(codes.tobytes()).hexdigest()
