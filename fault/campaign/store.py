"""A campaign's folder.

::

    manifest.json     what the campaign is: hashes of design, network and images, fault model, seed
    golden/N/         golden run of image N
    shards/*.parquet  results, one file per work unit, each written whole or not at all
    summary.json, report.html

A folder whose manifest differs from the campaign's is refused, and so is adding units that other
sources would compute. Shards are only ever added; which units are done is what files there are,
and each says what it is of. ``SELECT ... FROM 'FOLDER/shards/*.parquet'`` in DuckDB, or
``pandas.read_parquet("FOLDER/shards")``, reads them all.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import filelock
import pyarrow as pa

from holdfast.base.errors import HoldfastError
from holdfast.base.files import make_folder, write_atomically, write_json
from holdfast.base.text import printable

from .manifest import campaign_hash, different, program_differs, read_manifest
from .shard import DamagedShardError, read_shard, stamped
from .unit import UnitId

_WRITERS, _WAITING = 8, 64
"""Shards that are written at once, and that wait: a disk takes its time, and works on many."""


class Store:
    """Opens a campaign's folder for one process at a time.

    A folder that cannot be written, such as on a read-only disk, can still be read.

    Attributes
    ----------
    writable : bool
    damaged : list of str
        What was found wrong with units, which are missing therefore.

    Raises
    ------
    HoldfastError
        Another campaign lies there, or another process works on it.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any]):
        self.folder = folder
        self.manifest: dict[str, Any] = json.loads(json.dumps(manifest))
        self.damaged: list[str] = []
        self._refusal = ""
        self._tables: dict[UnitId, pa.Table] = {}
        self._lock = filelock.FileLock(folder / "lock")

    @property
    def writable(self) -> bool:
        """Tells whether anything can be added."""
        return not self._refusal

    @property
    def campaign(self) -> str:
        """Returns the hash of the manifest, as shards say it; empty: of an earlier version."""
        return self._campaign or ""

    @property
    def versions(self) -> dict[str, Any]:
        """Returns what the units were computed with."""
        found = self._found.get("versions")
        return found if isinstance(found, dict) else {}

    def __enter__(self) -> "Store":
        try:
            for folder in (self.folder, self.folder / "shards"):
                make_folder(folder)
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise HoldfastError(f"another process works on campaign {self._name}.") from None
        except HoldfastError as error:
            if not (self.folder / "manifest.json").exists():
                raise
            self._refusal = str(error)
        try:
            self._found = self._check()
        except BaseException:
            self._lock.release()
            raise
        self._campaign = campaign_hash(self._found) if "sources" in self._found else None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()

    @property
    def _name(self) -> str:
        return printable(self.folder)

    def _check(self) -> dict[str, Any]:
        """The manifest that lies there, after it has been written if there is none."""
        path = self.folder / "manifest.json"
        if not path.exists():
            if any((self.folder / "shards").iterdir()):
                raise HoldfastError(
                    f"{self._name} has shards but no manifest.json, so that nobody knows whose "
                    "they are; give another folder."
                )
            write_json(path, self.manifest)
        found = read_manifest(self.folder)
        if keys := different(found, self.manifest):
            raise HoldfastError(
                f"{self._name} holds another campaign: its {printable(', '.join(keys), 200)} "
                f"{'differs' if len(keys) == 1 else 'differ'}; give another folder."
            )
        return found

    def shard(self, unit: UnitId) -> Path:
        """Returns the file of a unit."""
        return self.folder / "shards" / f"{unit}.parquet"

    def missing(self, units: Mapping[UnitId, int]) -> list[UnitId]:
        """Units whose results are not there, or not whole.

        Parameters
        ----------
        units : Mapping
            Rows of each.

        Raises
        ------
        HoldfastError
            A shard is of another campaign; or some are missing, and cannot be added, because the
            folder cannot be written or other sources began it.
        """
        todo = []
        for unit, rows in units.items():
            path = self.shard(unit)
            if unit in self._tables:
                continue
            if not path.exists():
                todo.append(unit)
                continue
            try:
                self._tables[unit] = read_shard(path, str(unit), rows, self._campaign)
            except DamagedShardError as error:
                self.damaged.append(str(error))
                todo.append(unit)
        if todo and self._refusal:
            raise HoldfastError(self._refusal)
        program = program_differs(self._found, self.manifest)
        if todo and program:
            where = self.damaged[0] if self.damaged else f"{todo[0]} is missing."
            raise HoldfastError(
                f"{self._name} was begun with {program}, and {where.removesuffix('.')}: units of "
                "both must not be mixed; go on with what began it, or give another folder."
            )
        return todo

    def add(self, unit: UnitId, content: bytes) -> None:
        """Adds a unit's results."""
        assert self._campaign is not None
        self.write(f"shards/{unit}.parquet", stamped(content, str(unit), self._campaign))

    @contextmanager
    def adding(self) -> Iterator[Callable[[UnitId, bytes], None]]:
        """Gives a function that adds units while its caller goes on; when the block ends, all are
        on the disk. It raises what an earlier unit's writing did.
        """
        waiting: deque[Future[None]] = deque()
        with ThreadPoolExecutor(_WRITERS) as pool:

            def add(unit: UnitId, content: bytes) -> None:
                waiting.append(pool.submit(self.add, unit, content))
                while len(waiting) > _WAITING or (waiting and waiting[0].done()):
                    waiting.popleft().result()

            yield add
            while waiting:
                waiting.popleft().result()

    def write(self, name: str, content: bytes) -> None:
        """Writes a file whole or not at all.

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

    def tables(self, units: Iterable[tuple[UnitId, int]]) -> Iterator[pa.Table]:
        """Returns the results of units, with their rows, in their order."""

        def read(unit: UnitId, rows: int) -> pa.Table:
            return read_shard(self.shard(unit), str(unit), rows, self._campaign)

        given = dict(units)
        new = {unit: rows for unit, rows in given.items() if unit not in self._tables}
        with ThreadPoolExecutor() as pool:
            self._tables |= zip(new, pool.map(read, new, new.values()), strict=True)
        yield from (self._tables[unit] for unit in given)
