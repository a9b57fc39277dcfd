"""Versions of everything that a result comes from."""

import platform
import re
import tomllib
from pathlib import Path

import numpy
import torch

from holdfast.base.versions import versions

ROOT = Path(__file__).parents[2]
USED = ("nn", "sim", "area", "boards")
"""Extras of which a result can depend."""


def test_every_direct_dependency_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for name in USED for line in extras[name])]
    names = {re.split(r"[=<>~!\[ ]", line)[0] for line in lines}
    found = versions()
    assert names <= set(found)
    assert (found["numpy"], found["torch"]) == (numpy.__version__, torch.__version__)
    assert found["python"] == platform.python_version()
    assert found["holdfast"] == project["version"]
    assert re.fullmatch("[0-9a-f]{16}", found["sources"]) and found["platform"]
