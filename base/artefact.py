"""Folders that are made once and taken as they were made, or made anew.

    folder = made(Path("build", "cache", "compiled", key), make)       # make(folder) fills it

Beside what was made lies ``digests.json``, the hash of every file. A folder that does not match it
any more, for a flipped bit or a file that was cut, is made anew, and that is said.
"""

import contextlib
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import filelock

from .errors import HoldfastError, disk_reason
from .files import read_json, sync_folder, write_json
from .leftovers import clean
from .text import printable

_DIGESTS = "digests.json"
_ALGORITHM = "blake2b"
_known: set[Path] = set()
_swept: set[Path] = set()


def made(folder: Path, make: Callable[[Path], None]) -> Path:
    """Returns the folder that `make` filled: as it was made then, or made now.

    `make` works in a folder beside it that is renamed at the end, so that a process that is killed
    leaves nothing that looks complete; processes that want the same folder wait for one another.
    A process checks a folder once.

    Raises
    ------
    HoldfastError
        There is no room, or the folder cannot be written.
    """
    folder = folder.resolve()
    try:
        _sweep(folder.parent)
        if not _whole(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(_beside(folder, "lock")):
                if not _whole(folder):
                    _make(folder, make)
    except OSError as error:
        if reason := disk_reason(error):
            raise HoldfastError(f"cannot write {printable(folder)}: {reason}.") from None
        raise
    _known.add(folder)
    return folder


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    if folder.exists():
        print(f"{printable(folder)} is {damage(folder)}: made anew.", file=sys.stderr)
    partial = _beside(folder, "partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        make(partial)
        seal(partial)
        if folder.is_dir():
            shutil.rmtree(folder)
        else:
            folder.unlink(missing_ok=True)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_folder(folder.parent)


def _whole(folder: Path) -> bool:
    return folder.is_dir() and (folder in _known or not damage(folder))


def seal(folder: Path, names: Iterable[str] = ()) -> None:
    """Write the digests of files in a folder, by default of all, once they are on the disk."""
    files = [folder / name for name in sorted(names or _names(folder))]
    for path in files:
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    write_json(folder / _DIGESTS, {path.name: _digest(path) for path in files})


def damage(folder: Path, names: Iterable[str] = ()) -> str:
    """Returns what is wrong with a folder sealed with these names; empty if it is as it was."""
    if not folder.is_dir():
        return "no folder"
    try:
        digests = read_json(folder / _DIGESTS, "digests")
    except HoldfastError:
        return "without digests"
    names = {*(names or _names(folder))}
    if wrong := sorted(names ^ digests.keys()):
        return f"not whole, as {printable(wrong[0], 80)} shows"
    for name in sorted(names):
        try:
            if _digest(folder / name) != digests[name]:
                return f"damaged in {printable(name, 80)}"
        except OSError:
            return f"without {printable(name, 80)}"
    return ""


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {_DIGESTS}


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, _ALGORITHM).hexdigest()[:32]


def _beside(folder: Path, kind: str) -> Path:
    return folder.with_name(f"{folder.name}.{kind}")


def _sweep(place: Path) -> None:
    """Remove what processes that are dead were making: their locks are free."""
    if place in _swept:
        return
    _swept.add(place)
    clean(place)
    for partial in place.glob("*.partial"):
        lock = filelock.FileLock(partial.with_suffix(".lock"), timeout=0)
        with contextlib.suppress(filelock.Timeout, OSError), lock:
            shutil.rmtree(partial, ignore_errors=True)
