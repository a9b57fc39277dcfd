"""Rooms import only the rooms below them, as docs/architecture.md says, and no files import one
another in a circle."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"\| `(\w+)/` \| [^|]+ \| ([^|]+) \|")
ALLOWED = {
    room: set(re.findall(r"`(\w+)`", allowed))
    for room, allowed in ROW.findall((ROOT / "docs" / "architecture.md").read_text("utf-8"))
}
LONGEST_FILE, LONGEST_FUNCTION = 400, 80


def files(room):
    return sorted((ROOT / room).rglob("*.py"))


def module(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("holdfast", *parts[: -1 if parts[-1] == "__init__" else None]))


MODULES = {module(path): path for room in ALLOWED for path in files(room)}


class _Runs(ast.NodeTransformer):
    """What only a type checker reads, is no import."""

    def visit_If(self, node):
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)


def imported(path):
    """Names of all modules that a file imports, imports inside functions among them."""
    here = module(path).split(".")
    for node in ast.walk(_Runs().visit(ast.parse(path.read_text("utf-8")))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            depth = node.level - (path.name == "__init__.py")
            base = here[: len(here) - depth] if node.level else []
            name = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{name}.{alias.name}"
                yield inner if inner in MODULES else name


def test_every_package_is_installed():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    here = {module(path) for path in MODULES.values() if path.name == "__init__.py"}
    assert set(packages["packages"]) == here | {"holdfast.nn.models"}


@pytest.mark.parametrize("room", ALLOWED)
def test_no_import_runs_upwards(room):
    assert files(room)
    for path in files(room):
        for name in imported(path):
            first, _, rest = name.partition(".")
            assert first not in {*ALLOWED, "tests"}, f"{path}: {name}"
            if first == "holdfast":
                assert rest.partition(".")[0] in ALLOWED[room] | {room}, f"{path}: {name}"


def test_no_files_import_one_another_in_a_circle():
    below = {name: set(imported(path)) & MODULES.keys() for name, path in MODULES.items()}
    while below:
        lowest = [name for name, names in below.items() if not names & below.keys()]
        assert lowest, sorted(below)
        for name in lowest:
            del below[name]
