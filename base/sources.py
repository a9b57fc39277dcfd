"""Hash of the sources that a result comes from.

    source_hash("holdfast.fault.campaign.workers")   # of it and all of ours that it imports

Which they are is read from the imports, those inside functions included, so that no list can be
behind. Compiled code and scripts of a package count for each of its modules.
"""

import ast
import hashlib
import inspect
import os
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_NAME = __name__.partition(".")[0]
_BESIDE = ("*.cpp", "*.hpp", "*.html", "*.js")


@cache
def source_hash(*modules: str, root: Path = _ROOT) -> str:
    """Returns the hash of modules and of everything of ours that they import; without a name, of
    everything.

    Parameters
    ----------
    modules : str
        Dotted names.
    root : Path
        The folder that is the package ``holdfast``.

    Raises
    ------
    ImportError
        There is no such module.
    """
    found = hashlib.sha256()
    for path in sources(*modules, root=root):
        content = path.read_bytes()
        found.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()


def outside_hash(*kinds: type) -> str:
    """Hash of the files of classes, and of what these inherit from, that are not of Holdfast: a
    user's own, which :func:`source_hash` does not know. A class without a file, such as a
    notebook's, has another one each time.
    """
    found = hashlib.sha256()
    for kind in dict.fromkeys(each for given in kinds for each in given.__mro__):
        if kind.__module__.partition(".")[0] in (_NAME, "builtins", "abc"):
            continue
        try:
            content = Path(inspect.getfile(kind)).read_bytes()
        except (OSError, TypeError):
            content = os.urandom(32)
        found.update(f"{kind.__qualname__} {len(content)}\n".encode() + content)
    return found.hexdigest()


def sources(*modules: str, root: Path = _ROOT) -> list[Path]:
    """The files that :func:`source_hash` is of, sorted; raises as it does."""
    known: set[str] = set()
    files: set[Path] = set()
    if not modules:
        rooms = {path.parent for path in root.glob("*/__init__.py")} - {root / "tests"}
        files.update(path for room in rooms for path in room.rglob("*.py"))
        for folder in {path.parent for path in files}:
            files.update(path for pattern in _BESIDE for path in folder.glob(pattern))
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name in known:
            continue
        known.add(name)
        path = _file(root, name)
        if path is None:
            raise ImportError(f"{root} has no module {name}")
        files.add(path)
        for pattern in _BESIDE:
            files.update(path.parent.glob(pattern))
        # Importing a module runs the packages that it lies in.
        todo += [name.rpartition(".")[0]] if name.count(".") > 1 else []
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for imported, attributes in _imports(path, package):
            if imported.partition(".")[0] == _NAME:
                todo += [imported] if imported != _NAME else []
                inside = (f"{imported}.{attribute}" for attribute in attributes)
                todo += [module for module in inside if _file(root, module)]
    return sorted(files)


def _file(root: Path, module: str) -> Path | None:
    name, *parts = module.split(".")
    if name != _NAME or not parts:
        return None
    path = root.joinpath(*parts)
    for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if file.is_file():
            return file
    return None


@cache
def _imports(path: Path, package: str) -> list[tuple[str, list[str]]]:
    """Modules that a file imports, and what it takes from each."""
    found: list[tuple[str, list[str]]] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")
            above = above[: len(above) + 1 - node.level] if node.level else []
            name = ".".join([*above, *([node.module] if node.module else [])])
            found.append((name, [alias.name for alias in node.names]))
    return found
