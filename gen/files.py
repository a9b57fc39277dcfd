"""Writing what a command leaves behind, and telling which sources it comes from."""

import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path

from .errors import HoldfastError

__all__ = ["make_folder", "make_room", "source_hash", "write_atomically"]

_ROOT = Path(__file__).resolve().parents[1]


def make_folder(path: Path) -> None:
    """Make a folder that a command will write to, before its work begins.

    Raises
    ------
    HoldfastError
        It cannot be made, or nothing can be written in it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HoldfastError(f"cannot make folder {path}: {error.strerror}.") from None
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise HoldfastError(f"cannot write in folder {path}: {error.strerror}.") from None


def make_room(path: Path) -> None:
    """Make the folder of a file that a command will write, before its work begins.

    Raises
    ------
    HoldfastError
        As of :func:`make_folder`, or a folder has the file's name.
    """
    if path.is_dir():
        raise HoldfastError(f"cannot write {path}: it is a folder.")
    make_folder(path.parent)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file through a temporary one beside it: there is never half a file.

    Raises
    ------
    HoldfastError
        There is no room, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise HoldfastError(f"cannot write {path}: {error.strerror}.") from error


@cache
def source_hash(patterns: tuple[str, ...]) -> str:
    """Hash of the project's sources that match, such as ``nn/golden.py`` or ``gen/*.py``."""
    found = hashlib.sha256()
    for pattern in patterns:
        for path in sorted(_ROOT.glob(pattern)):
            found.update(path.read_bytes())
    return found.hexdigest()
