"""``nox -s bench -- tables``: the docs' tables of measured figures, from the benchmarks' JSON.

Takes what build/bench holds of a benchmark into docs/measured, as far as its table needs it, and
writes the tables anew. A table stands in its page between ``<!-- measured: NAME -->`` and
``<!-- end -->``. tests/docs/test_measured.py says when page and figures differ.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
from holdfast.base.files import write_atomically, write_json
from holdfast.base.options import path

__all__ = ["MEASURED", "TABLES", "with_table"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "docs" / "measured"
_TABLE = r"(<!-- measured: {} -->\n).*?(<!-- end -->)"


class Measured(NamedTuple):
    """A table: its page, what it keeps of the benchmark's JSON, and its lines."""

    page: str
    keep: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    lines: Callable[[Mapping[str, Any]], list[list[str]]]


def _intervals(content: Mapping[str, Any]) -> list[list[str]]:
    lines = [["campaigns", "points", "least", "mean", "under 94 %", "former: least",
              "under 94 %", "width"]]  # fmt: skip
    for name, group in content["groups"].items():
        cells = [name, f"{group['points']:,}", f"{100 * group['least']:.1f}",
                 f"{100 * group['mean']:.1f}", str(group["below 94 %"])]  # fmt: skip
        former = ["", "", ""]
        if "former least" in group:
            former = [f"{100 * group['former least']:.1f}", str(group["former below 94 %"]),
                      f"{group['width where right before']:.2f}"]  # fmt: skip
        lines.append(cells + former)
    return lines


TABLES = {
    "intervals": Measured(
        "docs/researcher.md",
        lambda content: {key: content[key] for key in ("repetitions", "seed", "groups")},
        _intervals,
    )
}


def with_table(name: str, text: str, content: Mapping[str, Any]) -> str:
    """A page's text with its table made anew."""
    heading, *rows = TABLES[name].lines(content)
    lines = [heading, ["---"] * len(heading), *rows]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    found, count = re.subn(
        _TABLE.format(re.escape(name)),
        lambda match: match[1] + "\n" + table + "\n" + match[2],
        text,
        flags=re.DOTALL,
    )
    if count != 1:
        raise HoldfastError(f"{TABLES[name].page} must have one place for the table {name}.")
    return found


@app.command()
def tables(
    results: Annotated[Path, path("Folder of the benchmarks' JSON.")] = Path("build/bench"),
) -> None:
    """Write the docs' tables from the newest measurements."""
    for name, measured in TABLES.items():
        source, kept = results / f"{name}.json", MEASURED / f"{name}.json"
        if source.is_file():
            write_json(kept, measured.keep(json.loads(source.read_text("utf-8"))))
        page = ROOT / measured.page
        text = with_table(name, page.read_text("utf-8"), json.loads(kept.read_text("utf-8")))
        write_atomically(page, text.encode())
        console.print(f"{measured.page}: table {name} written.")


if __name__ == "__main__":
    sys.exit(run(app))
