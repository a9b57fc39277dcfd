"""Finds again by content what was measured before.

    cache = Cache(Path("build/explore/cache"))
    value = cache.get(measurement)          # None: measure it
    cache.put(measurement, value)

A measurement says what it is of (hashes of files, configuration, options) and which sources and
tools it comes from. The first names the file; the second has to be equal, or it is measured anew.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Protocol

from .errors import HoldfastError
from .files import read_json, write_json


class Measurement(Protocol):
    """Takes a while and gives the same again."""

    kind: ClassVar[str]

    def subject(self) -> dict[str, Any]:
        """Returns what is measured; plain data."""

    def version(self) -> str:
        """Returns the hash of the sources and tools that the result comes from."""

    def run(self) -> dict[str, Any]:
        """Returns the result; plain data."""


@dataclass
class Cache:
    """Keeps results in a folder.

    Attributes
    ----------
    outdated, damaged : list of Path
        Files that were found and not used: of other sources, and unreadable ones.
    """

    folder: Path
    outdated: list[Path] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)

    def path(self, measurement: Measurement) -> Path:
        """Returns the file of a measurement."""
        return self.folder / measurement.kind / f"{digest(measurement.subject())}.json"

    def get(self, measurement: Measurement) -> dict[str, Any] | None:
        """The result, if it is there, whole, and of the same sources."""
        path = self.path(measurement)
        try:
            if not path.exists():
                return None
            entry = read_json(path, "measurement")
            version, value = entry["version"], entry["value"]
            whole = entry["check"] == digest([version, value]) and isinstance(value, dict)
        except (HoldfastError, LookupError, ValueError, RecursionError):
            whole = False
        if not whole:
            self.damaged.append(path)
            return None
        if version != measurement.version():
            self.outdated.append(path)
            return None
        return dict(value)

    def put(self, measurement: Measurement, value: dict[str, Any]) -> None:
        """Keeps a result.

        Raises
        ------
        HoldfastError
            There is no room, or the folder cannot be written.
        """
        version = measurement.version()
        entry = {
            "subject": measurement.subject(),
            "version": version,
            "check": digest([version, value]),
            "value": value,
        }
        path = self.path(measurement)
        try:
            write_json(path, entry)
        except HoldfastError as error:
            raise HoldfastError(
                f"{str(error).removesuffix('.')}; finished measurements are kept."
            ) from None


def digest(content: Any) -> str:
    """Returns the hash of plain data."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@cache
def file_hash(path: Path) -> str:
    """Returns the hash of a file, or of all files right in a folder."""
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            found.update(hashlib.file_digest(stream, "sha256").digest())
    return found.hexdigest()
