"""Rooms import only the rooms below them, as docs/architecture.md says."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"\| `(\w+)/` \| [^|]+ \| ([^|]+) \|")
ALLOWED = {
    room: set(re.findall(r"`(\w+)`", allowed))
    for room, allowed in ROW.findall((ROOT / "docs" / "architecture.md").read_text())
}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module


def test_every_package_is_a_room():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert {name.partition(".")[0] for name in packages["packages"]} == set(ALLOWED)
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == set(ALLOWED)


@pytest.mark.parametrize("room", ALLOWED)
def test_no_import_runs_upwards(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        found = {name.partition(".")[0] for name in imported(path)} & (set(ALLOWED) | {"tests"})
        assert found <= ALLOWED[room] | {room}, path


def test_no_import_runs_in_a_circle():
    below = {room: set(allowed) for room, allowed in ALLOWED.items()}
    while below:
        lowest = [room for room, allowed in below.items() if not allowed & below.keys()]
        assert lowest, below
        for room in lowest:
            del below[room]
