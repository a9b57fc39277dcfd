"""JSON that shows when it is not as it was written any more.

    write_json(path, with_check(summary))
    summary = read_checked(path, "summary")

The check is a hash of the rest, under a key of its own.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .cache import digest
from .errors import HoldfastError
from .files import read_json
from .text import printable

_CHECK = "check"


def with_check(content: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data as JSON has it, and their hash."""
    plain = json.loads(json.dumps(content))
    return {**plain, _CHECK: digest(plain)}


def read_checked(path: Path, what: str) -> dict[str, Any]:
    """Returns the data in a file; those of earlier versions have no hash, and are taken as they
    are.

    Raises
    ------
    HoldfastError
        As of `base.files.read_json`, or they are not those that were written.
    """
    content = read_json(path, what)
    check = content.pop(_CHECK, None)
    if check is not None and check != digest(content):
        raise HoldfastError(f"{what} {printable(path)} is damaged: it does not match its check.")
    return content
