"""Writing what a command leaves behind."""

import os
import tempfile
from pathlib import Path

from .errors import HoldfastError

__all__ = ["make_folder", "write_atomically"]


def make_folder(path: Path) -> None:
    """Make a folder that a command will write to, before its work begins.

    Raises
    ------
    HoldfastError
        It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HoldfastError(f"cannot make folder {path}: {error.strerror}.") from None


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file through a temporary one beside it: there is never half a file."""
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
