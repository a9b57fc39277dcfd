"""Temporary files that carry their process's name, so that those of the dead are known.

    handle, path = temporary(folder / "summary.json")
    clean(folder)

The next run removes what processes that are dead have left.
"""

import contextlib
import os
import platform
import re
import tempfile
from pathlib import Path

__all__ = ["clean", "temporary"]

_NAME = re.compile(r"\..*\.(\d+)@([^@]*)\.\w+", re.DOTALL)
_LONGEST = 100


def temporary(path: Path) -> tuple[int, Path]:
    """Open a new hidden file beside a path that is to be written."""
    prefix = f".{path.name[:_LONGEST]}.{os.getpid()}@{platform.node()}."
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix)
    return handle, Path(name)


def clean(folder: Path) -> None:
    """Remove the temporary files in a folder whose processes, of this machine, are dead."""
    for path in folder.glob(".*@*"):
        match = _NAME.fullmatch(path.name)
        if match and match[2] == platform.node() and not _alive(int(match[1])):
            # Another process may have been faster, or the disk is read-only.
            with contextlib.suppress(OSError):
                path.unlink()


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
