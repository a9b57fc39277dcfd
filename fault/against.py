"""A campaign against others that have ended.

    other = finished(folder)
    other.compared(manifest, summary, tables, plan, 0.95)

Where both drew the same faults in the same design they are compared fault by fault; otherwise, say
for two designs, by the shares of each.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from base.errors import HoldfastError
from nn.program import Program

from .compare import independent
from .plan import Plan
from .summary import compare

__all__ = ["Finished", "finished", "images_hash", "program_hash"]

_SAME = ("format", "design", "model", "filters", "cycles", "faults", "unit", "seed")
"""What two campaigns that drew the same faults have in common."""


@dataclass(frozen=True)
class Finished:
    """A campaign's folder."""

    folder: Path
    manifest: Mapping[str, Any]
    summary: Mapping[str, Any]

    def compared(
        self,
        manifest: Mapping[str, Any],
        summary: Mapping[str, Any],
        tables: Sequence[pa.Table],
        plan: Plan,
        confidence: float,
    ) -> dict[str, Any]:
        """Differences, this campaign the first.

        Returns
        -------
        dict
            ``pairs`` from `fault.summary.compare`, or ``sdc1`` and ``avf`` from
            `fault.compare.independent`.
        """
        here = json.loads(json.dumps(manifest))
        same = all(here[key] == self.manifest.get(key) for key in _SAME)
        if same and self.summary["images"] == summary["images"]:
            mine = [pq.read_table(path) for path in sorted(self.folder.glob("shards/*.parquet"))]
            if sum(table.num_rows for table in mine) == sum(table.num_rows for table in tables):
                return {"pairs": compare(mine, tables, plan, summary["images"], confidence)}
        return {kind: independent(self.summary, summary, kind) for kind in ("sdc1", "avf")}


def finished(folder: Path) -> Finished:
    """The campaign in a folder.

    Raises
    ------
    HoldfastError
        None has ended there.
    """
    try:
        manifest, summary = (
            json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
            for name in ("manifest", "summary")
        )
    except OSError:
        raise HoldfastError(
            f"{folder} holds no campaign that has ended: manifest.json or summary.json is missing."
        ) from None
    except ValueError:
        raise HoldfastError(f"{folder}: manifest.json or summary.json is not JSON.") from None
    return Finished(folder, manifest, summary)


def program_hash(program: Program) -> str:
    """Of a network as it lies in an accelerator's memories."""
    digest = hashlib.sha256(program.descriptors.tobytes())
    for chunk in program.chunks:
        digest.update(chunk.weights.tobytes() + chunk.parameters.tobytes())
    return digest.hexdigest()


def images_hash(codes: NDArray[np.int8]) -> str:
    """Of a campaign's images."""
    return hashlib.sha256(codes.tobytes()).hexdigest()
