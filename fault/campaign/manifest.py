"""Says what a campaign is: the manifest in its folder.

    manifest(job, plan)                 # Manifest
    read_manifest(folder)               # of this version and of earlier ones
    different(found, here)              # keys that make two campaigns
    program_differs(found, here)        # whether other code would compute the units

What was computed with other code can be shown, but not gone on with.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from holdfast.base.cache import digest
from holdfast.base.errors import HoldfastError
from holdfast.base.files import read_json
from holdfast.base.sources import source_hash
from holdfast.base.text import printable
from holdfast.base.versions import COMPUTING, versions
from holdfast.fault.sampling.plan import Plan
from holdfast.fault.sampling.sampler import Filters
from holdfast.nn.compiler.program import Program
from holdfast.nn.graph.guard_modes import GuardSettings

if TYPE_CHECKING:
    # What reads a manifest does without PyTorch.
    from .spec import CampaignSpec

_FORMAT = 1
_PROGRAM = ("sources", "versions")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Holds what makes two campaigns the same, and what computed it.

    Raises
    ------
    ValueError
        A number is outside its bounds.
    """

    format: int
    design: str
    config: str
    network: str
    images: str
    name: str
    accelerator: str
    guard: GuardSettings
    model: dict[str, Any]
    filters: Filters
    cycles_drawn: str
    requantize: str | None = None
    faults: dict[str, int]
    unit: int
    seed: int
    audit: float | None = None
    patterns: bool = False
    pilot: dict[str, str] | None = None
    whole: list[str] = field(default_factory=list)
    sources: str | None = None
    versions: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        numbers = {"unit": self.unit - 1, "seed": self.seed, **self.faults}
        for name, number in numbers.items():
            if number < 0:
                raise ValueError(f"{name} is no such value")

    def to_json(self) -> dict[str, Any]:
        """Returns plain data; what earlier versions did not say is left out at its default."""
        plain = json.loads(json.dumps(asdict(self) | {"guard": self.guard.values}))
        usual = {each.name: each.default for each in fields(self) if each.default is not MISSING}
        usual["whole"] = []
        return {k: v for k, v in plain.items() if k not in usual or v != usual[k]}

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Reads the manifest in a campaign's folder.

        Raises
        ------
        HoldfastError
            There is none, or it is damaged.
        """
        found = read_manifest(folder)
        try:
            return msgspec.convert(found, cls)
        except (msgspec.ValidationError, ValueError) as error:
            raise HoldfastError(
                f"{printable(folder)}/manifest.json is damaged: {printable(error, 100)}."
            ) from None


def manifest(job: "CampaignSpec", plan: Plan) -> Manifest:
    """Returns a campaign's manifest."""
    return Manifest(
        format=_FORMAT,
        design=job.netlist.hash,
        config=job.program.config.to_toml(),
        network=program_hash(job.program),
        images=images_hash(job.codes),
        sources=source_hash("holdfast.fault.campaign.workers"),
        versions=versions(),
        **settings(job, plan) | {"guard": job.guard, "filters": job.filters},
    )


def settings(job: "CampaignSpec", plan: Plan) -> dict[str, Any]:
    """Returns what of it a report shows."""
    shortcuts = asdict(job.shortcuts)
    return {
        "name": job.program.graph.network,
        "accelerator": job.program.config.name,
        "guard": job.guard.values,
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
        **({"pilot": {"metric": job.metric, "strata": job.division.hash}} if job.division else {}),
        **({"whole": whole} if (whole := sorted(plan.tried_whole(job.counts))) else {}),
    }


def read_manifest(folder: Path) -> dict[str, Any]:
    """Returns the manifest in a campaign's folder.

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
    """Returns what of the code that computes units differs; empty if they would be the same."""
    if found.get("sources") != here.get("sources"):
        return "other sources of Holdfast" if "sources" in found else "an earlier Holdfast"
    its, mine = found.get("versions"), here.get("versions", {})
    for name in COMPUTING:
        version = its.get(name) if isinstance(its, dict) else None
        if version != mine.get(name):
            return f"{name} {printable(version, 40)}, not {mine.get(name)}"
    return ""


def campaign_hash(found: Mapping[str, Any]) -> str:
    """Hashes what makes units belong together: all but the versions of what cannot change them."""
    return digest({key: value for key, value in found.items() if key != "versions"})


def program_hash(program: Program) -> str:
    """Hashes a network as it lies in an accelerator's memories."""
    digest = hashlib.sha256(program.descriptors.tobytes())
    for chunk in program.chunks:
        digest.update(chunk.weights.tobytes() + chunk.parameters.tobytes())
    return digest.hexdigest()


def images_hash(codes: NDArray[np.int8]) -> str:
    """Hashes a campaign's images."""
    return hashlib.sha256(codes.tobytes()).hexdigest()
