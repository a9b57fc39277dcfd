"""A campaign against others that have ended.

    other = PriorCampaign.load(folder)
    other.compared(Ended(manifest, summary, tables), 0.95)

Where both drew the same faults in the same design, at the same moments of the same layers, they are
compared fault by fault; otherwise, say for two designs or two networks, by the shares of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from holdfast.base.checked import read_checked
from holdfast.base.errors import HoldfastError
from holdfast.base.paired import independent
from holdfast.base.text import printable
from holdfast.fault.results.drawn import Drawn
from holdfast.fault.results.record import Summary
from holdfast.fault.results.summary import compare

from .manifest import Manifest, campaign_hash
from .shard import read_shard
from .unit import UnitId

_SAME = ("format", "design", "images", "model", "filters", "cycles_drawn", "faults", "unit", "seed",
         "pilot")  # fmt: skip
"""What two campaigns that drew the same faults have in common in their manifests."""
_SAME_SIZE = ("population", "cycles", "images")
"""And in their summaries."""
_ROW = ("structure", "number", "image", "fault", "layer", "phase")
"""And in every row: two networks can take as many cycles, but not for the same layers."""
_KINDS = ("sdc1", "avf")


class Ended(NamedTuple):
    """Holds what a campaign was, and its results."""

    manifest: Manifest
    summary: Summary
    tables: Sequence[pa.Table]


@dataclass(frozen=True)
class PriorCampaign:
    """Reads a campaign's folder."""

    folder: Path
    manifest: Manifest
    summary: Summary

    @classmethod
    def load(cls, folder: Path) -> "PriorCampaign":
        """Reads the campaign in a folder.

        Raises
        ------
        HoldfastError
            None has ended there, or what it left is damaged.
        """
        for name in ("manifest", "summary"):
            if not (folder / f"{name}.json").exists():
                raise HoldfastError(
                    f"{printable(folder)} holds no campaign that has ended: {name}.json is missing."
                )
        manifest, plain = Manifest.read(folder), read_checked(folder / "summary.json", "summary")
        try:
            return cls(folder, manifest, Summary.from_json(plain))
        except ValueError as error:
            raise HoldfastError(
                f"{printable(folder)}/summary.json is damaged: {printable(error, 100)}."
            ) from None

    def shards(self) -> list[Path]:
        """Files of its results.

        Raises
        ------
        HoldfastError
            One is missing, or is none of its own.
        """
        paths = sorted(self.folder.glob("shards/*.parquet"))
        rows = sum(self._rows(path) for path in paths)
        wanted = self.summary.faults * self.summary.images
        if rows != wanted:
            raise HoldfastError(
                f"{printable(self.folder)} has {rows:,} results, its summary is of {wanted:,}; "
                "its own command completes it."
            )
        return paths

    def table(self, path: Path) -> pa.Table:
        """Returns the results in one of :meth:`shards`; HoldfastError if it is damaged."""
        campaign = campaign_hash(self.manifest.to_json()) if self.manifest.sources else None
        return read_shard(path, path.stem, self._rows(path), campaign)

    def _rows(self, path: Path) -> int:
        size, unit = self.manifest.unit, UnitId.parse(path.stem)
        faults = self.manifest.faults.get(unit.structure, 0) if unit else 0
        count = min(size, faults - unit.number * size) if unit else 0
        if count <= 0:
            raise HoldfastError(f"{printable(path)} is no unit of its campaign; delete it.")
        return int(count * self.summary.images)

    @cached_property
    def tables(self) -> list[pa.Table]:
        """Returns the results in all of :meth:`shards`; raises as they do."""
        return [self.table(path) for path in self.shards()]

    def compared(self, other: Ended, confidence: float) -> dict[str, Any]:
        """Differences, this campaign the first.

        Returns
        -------
        dict
            ``pairs`` from `fault.results.summary.compare`, or ``sdc1`` and ``avf`` from
            `base.paired.independent`.
        """
        if found := paired(self, other, confidence):
            return {"pairs": found}
        return {
            kind: independent(self.summary.to_json(), other.summary.to_json(), kind)
            for kind in _KINDS
        }


def paired(
    first: PriorCampaign | Ended,
    second: PriorCampaign | Ended,
    confidence: float,
    kind: str = "sdc1",
) -> dict[str, Any] | None:
    """Compares an effect fault by fault, as `fault.results.summary.compare`; None where the two
    did not draw the same faults.
    """
    for part, names in (("manifest", _SAME), ("summary", _SAME_SIZE)):
        a, b = getattr(first, part), getattr(second, part)
        if any(getattr(a, name) != getattr(b, name) for name in names):
            return None
    drawn = Drawn(second.summary, second.manifest.whole)
    # A summary of an earlier version does not say sizes.
    if 0 in drawn.sizes.values() or _faults(first.tables) != _faults(second.tables):
        return None
    return compare(first.tables, second.tables, drawn, second.summary.images, confidence, kind)


def _faults(tables: Sequence[pa.Table]) -> pa.Table:
    """Returns what was struck and when, in order."""
    rows = pa.concat_tables(table.select(_ROW) for table in tables).unify_dictionaries()
    plain = pa.table([rows[name].cast(rows.field(name).type.value_type)
                      if pa.types.is_dictionary(rows.field(name).type) else rows[name]
                      for name in _ROW], names=list(_ROW))  # fmt: skip
    return plain.sort_by([(name, "ascending") for name in _ROW[:3]]).combine_chunks()
