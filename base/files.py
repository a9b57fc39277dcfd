"""Reading what users give, writing what a command leaves behind."""

import json
import os
import stat
import tempfile
import tomllib
from pathlib import Path
from typing import Any, BinaryIO

from .errors import HoldfastError
from .leftovers import clean, temporary
from .text import printable, reason, shown

_LARGEST = 1 << 28
_LARGEST_TOML = 1 << 20
# What file systems take, and folders that nobody has.
_LONGEST_NAME, _LONGEST_PATH, _DEEPEST = 255, 3000, 100


def cache_folder(name: str) -> Path:
    """Returns where a kind of results is kept, such as ``explore/cache``: in ``HOLDFAST_CACHE``,
    else in ``build``.
    """
    return Path(os.environ.get("HOLDFAST_CACHE") or "build", name)


def check_path(name: str, path: Path) -> None:
    """HoldfastError if an option's path is longer or deeper than a file's can be."""
    try:
        sizes = [len(os.fsencode(part)) for part in path.parts]
    except UnicodeEncodeError:
        raise HoldfastError(f"{name} is no path that this system takes: {shown(path)}.") from None
    if "\0" in str(path):
        raise HoldfastError(f"{name} is no path, a NUL is in it: {shown(path)}.")
    bounds = (
        ("bytes in one name", max(sizes, default=0), _LONGEST_NAME),
        ("folders", len(sizes), _DEEPEST),
        ("bytes", sum(sizes) + len(sizes), _LONGEST_PATH),
    )
    for what, found, most in bounds:
        if found > most:
            raise HoldfastError(
                f"{name} is a path of {found:,} {what}, at most {most:,} are taken: {shown(path)}."
            )


def make_folder(path: Path) -> None:
    """Make a folder that a command will write to, before its work begins.

    What earlier commands that were killed have left half-written there is removed.

    Raises
    ------
    HoldfastError
        It cannot be made, or nothing can be written in it.
    """
    check_path("folder", path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HoldfastError(f"cannot make folder {printable(path)}: {error.strerror}.") from None
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise HoldfastError(
            f"cannot write in folder {printable(path)}: {error.strerror}."
        ) from None
    clean(path)


def make_room(path: Path) -> None:
    """Make the folder of a file that a command will write, before its work begins.

    Raises
    ------
    HoldfastError
        As of :func:`make_folder`, or a folder has the file's name.
    """
    check_path("file", path)
    if path.is_dir():
        raise HoldfastError(f"cannot write {printable(path)}: it is a folder.")
    make_folder(path.parent)


def read_bytes(path: Path, what: str, largest: int = _LARGEST) -> bytes:
    """Returns the content of a regular file.

    Parameters
    ----------
    what : str
        What the file is, for messages, such as "configuration".
    largest : int
        Bytes that such a file may have.

    Raises
    ------
    HoldfastError
        There is no such file, it is a folder or a device, too large, or cannot be read.
    """
    with open_file(path, what, largest) as stream:
        try:
            return stream.read()
        except OSError as error:
            raise _unreadable(path, what, error) from None


def open_file(path: Path, what: str, largest: int = _LARGEST) -> BinaryIO:
    """Opens a regular file to read its bytes; parameters and errors as of :func:`read_bytes`."""
    try:
        stream = open(path, "rb", opener=_without_waiting)
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the path.
        raise _unreadable(path, what, error) from None
    found = os.fstat(stream.fileno())
    if stat.S_ISREG(found.st_mode) and found.st_size <= largest:
        return stream
    stream.close()
    wrong = "no regular file"
    if stat.S_ISREG(found.st_mode):
        wrong = f"it has {found.st_size:,} bytes, at most {largest:,} are read"
    raise HoldfastError(f"cannot read {what} {printable(path)}: {wrong}.")


def _unreadable(path: Path, what: str, error: Exception) -> HoldfastError:
    return HoldfastError(f"cannot read {what} {printable(path, 300)}: {reason(error)}.")


def _without_waiting(path: str, flags: int) -> int:
    # A pipe without a writer would block for ever.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_text(path: Path, what: str, largest: int = _LARGEST) -> str:
    """Returns the content of a UTF-8 file, whatever the locale; raises as :func:`read_bytes`."""
    try:
        return read_bytes(path, what, largest).decode()
    except UnicodeDecodeError as error:
        raise HoldfastError(f"{what} {printable(path)} is not UTF-8 text: {error}.") from None


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Returns the table in a TOML file.

    Raises
    ------
    HoldfastError
        As of :func:`read_text`, or the file is no TOML, nested too deep, or has a number that is
        too long.
    """
    text = read_text(path, what, _LARGEST_TOML)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise HoldfastError(
            f"{what} {printable(path)} is not valid TOML: {printable(reason, 200)}."
        ) from None


def read_json(path: Path, what: str, largest: int = _LARGEST) -> dict[str, Any]:
    """Returns the object in a JSON file.

    Raises
    ------
    HoldfastError
        As of :func:`read_text`, or the file is no JSON object.
    """
    return parse_json(read_text(path, what, largest), f"{what} {printable(path)}")


def parse_json(text: str | bytes, what: str) -> dict[str, Any]:
    """Returns the object that a JSON text holds; NaN and infinity are no JSON.

    Raises
    ------
    HoldfastError
        It is no JSON, nested too deep, has a number that is too long, or is no object.
    """
    try:
        value = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        told = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise HoldfastError(f"{what} is not valid JSON: {printable(told, 200)}.") from None
    if not isinstance(value, dict):
        raise HoldfastError(f"{what} must be a JSON object, not {type(value).__name__}.")
    return value


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def write_json(path: Path, content: Any) -> None:
    """Write JSON as :func:`write_atomically` does."""
    write_atomically(path, json.dumps(content, indent=1, allow_nan=False).encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file through a temporary one beside it: there is never half a file.

    It is on the disk when this returns, whatever becomes of the power.

    Raises
    ------
    HoldfastError
        There is no room, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = temporary(path)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(partial, 0o644)
            os.replace(partial, path)
        except BaseException:
            partial.unlink()
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise HoldfastError(f"cannot write {printable(path)}: {error.strerror}.") from error


def sync_folder(path: Path) -> None:
    """Makes the names in a folder last through a loss of power."""
    if os.name == "nt":
        # There, folders cannot be opened.
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
