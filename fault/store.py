"""A campaign's folder.

::

    manifest.json     what the campaign is: hashes of design, network and images, fault model, seed
    golden/N/         golden run of image N
    shards/*.parquet  results, one file per work unit, each written whole or not at all
    summary.json, report.html

A folder whose manifest differs from the campaign's is refused. Shards are only ever added; which
units are done is what files there are. ``SELECT ... FROM 'FOLDER/shards/*.parquet'`` in DuckDB, or
``pandas.read_parquet("FOLDER/shards")``, reads them all.
"""

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import filelock
import pyarrow as pa
import pyarrow.parquet as pq

from base.errors import HoldfastError
from base.files import make_folder, write_atomically

__all__ = ["PATTERN_SCHEMA", "SCHEMA", "Store", "pack"]

_TEXT = pa.dictionary(pa.int16(), pa.string())
SCHEMA = pa.schema(
    [
        ("fault", pa.string()),
        ("structure", _TEXT),
        ("signal", _TEXT),
        ("word", pa.int32()),
        ("bit", pa.int16()),
        ("cycle", pa.int64()),
        ("layer", _TEXT),
        ("phase", _TEXT),
        ("number", pa.int64()),
        ("image", pa.int32()),
        ("effect", _TEXT),
        ("died", _TEXT),
        ("detected", pa.bool_()),
        ("false_alarm", pa.bool_()),
        ("latency", pa.int64()),
        ("sdc5", pa.bool_()),
        ("sdc10", pa.bool_()),
        ("sdc20", pa.bool_()),
        ("counts", pa.int64()),
        ("cycles", pa.int64()),
        ("status", pa.int16()),
        ("right", pa.bool_()),
        ("path", _TEXT),
        ("audited", pa.bool_()),
        ("agrees", pa.bool_()),
    ]
)
"""``number`` counts the faults of a structure; faults on several images have one row for each.
``word`` and ``bit`` are the lowest; ``right``: the class is the label's (null without labels)."""

PATTERN_SCHEMA = pa.schema(
    [
        *SCHEMA,
        ("tensor", _TEXT),
        ("domain", _TEXT),
        ("elements", pa.list_(pa.int32())),
        ("golden", pa.list_(pa.int32())),
        ("faulty", pa.list_(pa.int32())),
        ("gain", pa.float32()),
    ]
)
"""With what was wrong in the layer that was struck (`fault.pattern`): null where nothing was, or
RTL alone decided (``path`` is ``end``)."""


def pack(columns: Mapping[str, list]) -> bytes:
    """A shard's file."""
    schema = PATTERN_SCHEMA if "tensor" in columns else SCHEMA
    table = pa.Table.from_pydict(dict(columns), schema=schema)
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()


class Store:
    """A campaign's folder, opened for one process at a time.

    Raises
    ------
    HoldfastError
        Another campaign lies there, or another process works on it.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any]):
        self.folder = folder
        self.manifest = json.loads(json.dumps(manifest))
        make_folder(folder / "shards")
        self._lock = filelock.FileLock(folder / "lock")

    def __enter__(self) -> "Store":
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise HoldfastError(f"another process works on campaign {self.folder}.") from None
        try:
            self._check()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()

    def _check(self) -> None:
        path = self.folder / "manifest.json"
        if not path.exists():
            self.write("manifest.json", json.dumps(self.manifest, indent=1).encode())
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise HoldfastError(f"{path} is damaged: it is not JSON.") from None
        keys = sorted(found.keys() | self.manifest.keys())
        different = [key for key in keys if found.get(key) != self.manifest.get(key)]
        if different:
            raise HoldfastError(
                f"{self.folder} holds another campaign: its {', '.join(different)} "
                f"{'differs' if len(different) == 1 else 'differ'}; give another --store."
            )

    def shard(self, unit: str) -> Path:
        """The file of a unit."""
        return self.folder / "shards" / f"{unit}.parquet"

    def done(self, unit: str) -> bool:
        """Whether a unit's results are there.

        Raises
        ------
        HoldfastError
            Its file is damaged.
        """
        path = self.shard(unit)
        if not path.exists():
            return False
        try:
            pq.read_metadata(path)
        except (pa.ArrowException, OSError):
            raise HoldfastError(
                f"shard {path} is damaged; delete it, and the same command computes it anew."
            ) from None
        return True

    def add(self, unit: str, content: bytes) -> None:
        """Add a unit's results."""
        self.write(f"shards/{unit}.parquet", content)

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all.

        Raises
        ------
        HoldfastError
            There is no room, or the folder cannot be written.
        """
        try:
            write_atomically(self.folder / name, content)
        except HoldfastError as error:
            raise HoldfastError(
                f"{str(error).removesuffix('.')}; finished shards are kept, "
                "the same command goes on from them."
            ) from None

    def tables(self, units: list[str]) -> Iterator[pa.Table]:
        """The results of units, in their order."""
        for unit in units:
            yield pq.read_table(self.shard(unit))
