"""A unit's results as a Parquet file, which says what they are of.

    content = pack(columns, "weight-000003", campaign)       # in a worker
    table = read_shard(path, "weight-000003", 1000, campaign)

The file's metadata hold the unit, the number of rows, the hash of the campaign's manifest, and a
hash of the file.
"""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.base.errors import HoldfastError
from holdfast.base.files import parse_json, read_bytes
from holdfast.base.text import printable

_STAMP = b"holdfast"
_LARGEST = 1 << 32
_NOTHING = b"no digest yet".ljust(32, b"-")
_HASH = re.compile(rb'(?<="digest": ")[0-9a-f]{32}(?="})')
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
"""With what was wrong in the layer that was struck (`fault.outcome.pattern`): null where nothing
was, or RTL alone decided (``path`` is ``end``)."""

_STRATA = pa.schema([("stratum", _TEXT), ("population", pa.int64())])
"""Where a pilot decided the draws: how many faults exist in the row's stratum. A row stands for
``population`` by the number of its stratum's faults."""


class DamagedShardError(HoldfastError):
    """A shard is not as it was written."""


def shard_schema(patterns: bool = False, strata: bool = False) -> pa.Schema:
    """Returns the columns of a shard: with patterns, and with what weighs its rows."""
    return pa.schema([*(PATTERN_SCHEMA if patterns else SCHEMA), *(_STRATA if strata else ())])


def pack(columns: Mapping[str, list], unit: str = "", campaign: str = "") -> bytes:
    """Returns a shard's file, stamped if it is said of which campaign it is."""
    schema = shard_schema("tensor" in columns, "stratum" in columns)
    table = pa.Table.from_pydict(dict(columns), schema=schema)
    return _stamped(table, unit, campaign) if campaign else _written(table, {})


def stamped(content: bytes, unit: str, campaign: str) -> bytes:
    """Returns a shard's file that says which unit of which campaign it is, and its own hash: as it
    is, if its worker has stamped it.
    """
    if _is_whole(content):
        return content
    table, _ = _parsed(content)
    return _stamped(table, unit, campaign)


def _stamped(table: pa.Table, unit: str, campaign: str) -> bytes:
    stamp = {"unit": unit, "rows": table.num_rows, "campaign": campaign}
    metadata = json.dumps(stamp | {"digest": _NOTHING.decode()})
    whole = _written(table, {_STAMP.decode(): metadata})
    return whole.replace(_NOTHING, _digest(whole))


def read_shard(path: Path, unit: str, rows: int, campaign: str | None) -> pa.Table:
    """Returns the results of a unit.

    Parameters
    ----------
    rows : int
        That it has to have.
    campaign : str or None
        Hash of the manifest that it is of; None: of an earlier version, without a stamp.

    Raises
    ------
    DamagedShardError
        Something is cut, missing or changed.
    HoldfastError
        It is another unit or of another campaign, or cannot be read.
    """
    content = read_bytes(path, "shard", _LARGEST)
    name = f"shard {printable(path)}"
    has_digest = bool(_HASH.search(content))
    if has_digest and not _is_whole(content):
        raise DamagedShardError(f"{name} is damaged.")
    try:
        table, stamp = _parsed(content)
    except (pa.ArrowException, OSError, ValueError, LookupError, MemoryError, OverflowError):
        raise DamagedShardError(f"{name} is damaged.") from None
    kinds = product((False, True), repeat=2)
    if not any(table.schema.equals(shard_schema(*kind)) for kind in kinds):
        raise DamagedShardError(f"{name} has other columns than a shard.")
    if campaign is not None:
        if stamp is None or not has_digest:
            raise HoldfastError(f"{name} does not say which campaign it is of; delete it.")
        try:
            found = parse_json(stamp, name)
        except HoldfastError:
            raise DamagedShardError(f"{name} has damaged metadata.") from None
        for key, value in (("unit", unit), ("campaign", campaign)):
            if found.get(key) != value:
                raise HoldfastError(f"{name} is of another {key}; delete it.")
        if found.get("rows") != rows:
            raise DamagedShardError(f"{name} is not of {rows:,} rows.")
    if table.num_rows != rows:
        raise DamagedShardError(f"{name} has {table.num_rows:,} rows, not {rows:,}.")
    return table


def _written(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    stream = io.BytesIO()
    with pq.ParquetWriter(stream, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        # Not in the table's schema, of which the file has another copy.
        writer.add_key_value_metadata(metadata)
    return stream.getvalue()


def _is_whole(content: bytes) -> bool:
    """Tells whether a file holds its own digest."""
    digests = _HASH.findall(content)
    return bool(digests) and _digest(_HASH.sub(_NOTHING, content)) == digests[0]


def _digest(content: bytes) -> bytes:
    """Computes the digest of a file that does not hold it yet."""
    return hashlib.blake2b(content, digest_size=16).hexdigest().encode()


def _parsed(content: bytes) -> tuple[pa.Table, bytes | None]:
    """The rows, and the stamp if there is one."""
    # Not by its path: folders such as seed=1 would become columns.
    with pq.ParquetFile(io.BytesIO(content)) as file:
        stamp = (file.metadata.metadata or {}).get(_STAMP)
        return file.read().replace_schema_metadata(None), stamp
