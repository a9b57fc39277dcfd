"""``nox -s bench -- tables``: the docs' tables of measured figures, from docs/measured.

A file there says which command made its figures, at which commit. ``--take campaign`` first takes
what that benchmark has written in this checkout. A table stands in its page between
``<!-- measured: NAME -->`` and ``<!-- end -->``. tests/docs/test_measured.py says when page and
figures differ.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
from holdfast.base.files import write_atomically, write_json
from holdfast.base.text import shown
from tests.bench import figures

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "docs" / "measured"
_TABLE = r"^( *)(<!-- measured: {} -->\n).*?(^ *<!-- end -->)"
Line = list[str]


class Table(NamedTuple):
    """A table: its page, its lines, and the file of its figures, if it has another name.

    Without ``lines`` the figures are the lines.
    """

    page: str
    lines: Callable[[Any], list[Line]] = list
    source: str = ""


TABLES = {
    "sim": Table("README.md"),
    "intervals": Table("docs/researcher.md", figures.intervals),
    "piloted": Table("docs/researcher.md", figures.piloted, "intervals"),
    "guard": Table("docs/researcher.md", figures.guard),
    "clean": Table("docs/researcher.md"),
    "campaign": Table("docs/researcher.md", figures.campaign),
    "peer": Table("docs/peers.md", figures.peer),
    "protection": Table("docs/protection.md", figures.protection),
    "boards": Table("docs/boards.md"),
    "guard_area": Table("docs/boards.md", figures.guard_area, "guard_boards"),
    "guard_clock": Table("docs/boards.md", figures.guard_clock, "guard_boards"),
    "patterns": Table("docs/calibrated.md"),
    "predictions": Table("docs/calibrated.md"),
    "extras": Table("docs/extras.md", figures.extras),
    **{
        name: Table("docs/fault_tolerant_training.md", lines, "ftt")
        for name, lines in figures.FTT.items()
    },
    "ftt_scales": Table("docs/fault_tolerant_training.md"),
    "shipped": Table("docs/networks.md", figures.shipped),
    "ptq": Table("docs/networks.md", figures.ptq),
    "qat": Table("docs/networks.md"),
    "scales": Table("docs/networks.md"),
    "faultmodels": Table("docs/networks.md", figures.faultmodels),
    **{
        name: Table("docs/exploration.md")
        for name in ("flips", "activations", "sums", "sums_fixed", "sums_alexnet", "explored")
    },
}


def kept(name: str) -> dict[str, Any]:
    """Reads the ``command``, ``commit`` and ``figures`` of a table."""
    file = MEASURED / f"{TABLES[name].source or name}.json"
    return json.loads(file.read_text("utf-8"))


def with_table(name: str, text: str, content: Any) -> str:
    """Returns a page's text with its table made anew of figures."""
    lines = TABLES[name].lines(content)
    if isinstance(lines[0], str):
        made = [f"    {line}".rstrip() for line in lines]
    else:
        heading, *rows = lines
        made = [f"| {' | '.join(line)} |" for line in [heading, ["---"] * len(heading), *rows]]

    def table(match: re.Match[str]) -> str:
        body = "".join(f"{match[1] if line else ''}{line}\n" for line in made)
        return f"{match[1]}{match[2]}\n{body}\n{match[3]}"

    pattern = _TABLE.format(re.escape(name))
    found, count = re.subn(pattern, table, text, flags=re.DOTALL | re.MULTILINE)
    if count != 1:
        raise HoldfastError(f"{TABLES[name].page} must have one place for the table {name}.")
    return found


@app.command()
def tables(
    take: Annotated[
        list[str] | None, typer.Option(help="Figures to take from build; may be repeated.")
    ] = None,
) -> None:
    """Write the docs' tables from docs/measured."""
    for source in take or ():
        if source not in figures.TAKEN:
            known = ", ".join(figures.TAKEN)
            raise HoldfastError(f"--take must be one of {known}, not {shown(source)}.")
        file = MEASURED / f"{source}.json"
        content = json.loads(file.read_text("utf-8"))
        content["commit"] = _commit()
        content["figures"] = figures.TAKEN[source]()
        write_json(file, content)
    for name, table in TABLES.items():
        page = ROOT / table.page
        text = with_table(name, page.read_text("utf-8"), kept(name)["figures"])
        write_atomically(page, text.encode())
        console.print(f"{table.page}: table {name} written.")


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(run(app))
