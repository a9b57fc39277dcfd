"""How much each extra adds to the installed package: sizes of the files that pip writes.

nox -s bench -- extras
"""

import json
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from holdfast.base.console import console

ROOT = Path(__file__).parents[2]


def size(name: str) -> int:
    """Bytes of an installed distribution."""
    files = [file.locate() for file in metadata.files(name) or ()]
    return sum(Path(str(path)).stat().st_size for path in files if Path(str(path)).is_file())


def closure(lines: list[str], found: dict[str, int], ours: dict[str, list[str]]) -> dict[str, int]:
    """Adds the distributions that requirements need, and those that they need."""
    for line in lines:
        need = Requirement(line)
        name = canonicalize_name(need.name)
        if name == "holdfast":
            for extra in need.extras:
                closure(ours[extra], found, ours)
        elif name not in found:
            found[name] = size(name)
            more = [Requirement(text) for text in metadata.requires(name) or ()]
            wanted = {"", *need.extras}
            kept = [m for m in more if not m.marker or any(
                m.marker.evaluate({"extra": extra}) for extra in wanted)]  # fmt: skip
            closure([f"{m.name}[{','.join(m.extras)}]" for m in kept], found, ours)
    return found


def main() -> None:
    """Prints a table, and writes it as JSON."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ours = project["optional-dependencies"]
    core = closure(project["dependencies"], {}, ours)
    rows = [("", len(core), sum(core.values()))]
    for name in ours:
        more = closure(ours[name], dict(core), ours)
        rows.append((name, len(more) - len(core), sum(more.values()) - sum(core.values())))
    result = {name or "none": {"packages": n, "bytes": many} for name, n, many in rows}
    folder = Path("build/bench")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "extras.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    for name, count, many in rows:
        console.print(f"| `{name or 'none'}` | {count} | {many / 1e6:,.0f} MB |")


if __name__ == "__main__":
    main()
