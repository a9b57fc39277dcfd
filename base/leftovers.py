"""Temporary files and folders that carry their process's name, so that those of the dead are known.

    handle, path = temporary(folder / "summary.json")
    clean(folder)
    with scratch() as folder:       # among the system's temporary files
        ...

The next run removes what processes that are dead have left.
"""

import contextlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"\..*\.(\d+)@([^@]*)\.\w+", re.DOTALL)
_LONGEST = 100


def temporary(path: Path) -> tuple[int, Path]:
    """Open a new hidden file beside a path that is to be written."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(_cut(path.name)))
    return handle, Path(name)


def _cut(name: str) -> str:
    # File systems count bytes.
    return os.fsencode(name)[:_LONGEST].decode(errors="ignore")


def _prefix(name: str) -> str:
    return f".{name}.{os.getpid()}@{platform.node()}."


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for a while, which only this user can read."""
    clean(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(
        prefix=_prefix("holdfast"), ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def clean(folder: Path) -> None:
    """Remove what is temporary in a folder and whose processes, of this machine, are dead."""
    for path in folder.glob(".*@*"):
        match = _NAME.fullmatch(path.name)
        if match and match[2] == platform.node() and not _alive(int(match[1])):
            # Another process may have been faster, or the disk is read-only.
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _alive(process: int) -> bool:
    if os.name == "nt":
        # There, asking would end it.
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
