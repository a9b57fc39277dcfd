"""The terminal takes no orders from texts."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.box import SIMPLE
from rich.table import Table

from holdfast.base.console import console, marked
from holdfast.base.progress import progress_bar, tracked
from tests.base.living import IMPORTABLE

ROOT = Path(__file__).parents[2]
HOSTILE = ["[/]", "[/x]", "[bold]b[/bold]", "[red]", ":smile:", "a[old]", "\x1b[31m", "\x07",
           "\udcff", "é", "\x00", "\x9b31m", "\u202e", "[link=http://x]y[/link]", "\\[x]",
           "[@click=f()]"]  # fmt: skip
TEXTS = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=20), max_size=6).map("".join)


@pytest.fixture
def screen(monkeypatch):
    """What a terminal of 400 columns gets."""
    written = io.StringIO()
    monkeypatch.setattr(console, "_width", 400)
    monkeypatch.setattr(console, "_file", written)
    return written


def printed(text):
    """A text in every place where rooms put texts."""
    console.print(text)
    console.print(marked((text, "bold"), text))
    table = Table(text, title=text, caption=text, box=SIMPLE)
    table.add_column(text)
    table.add_row(text, marked((text, "red")))
    console.print(table)
    with console.status(text) as status:
        status.update(text)
    for _ in tracked([1], text):
        pass
    with progress_bar() as progress:
        progress.update(progress.add_task(text, total=1, rate=text), description=text)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_every_text_is_shown_as_it_is(text):
    written = io.StringIO()
    before, console._file, console._width = console._file, written, 1000
    try:
        printed(text)
        shown = written.getvalue()
    finally:
        console._file, console._width = before, None
    assert all(c.isprintable() or c == "\n" for c in shown)


@pytest.mark.parametrize("text", ["/x/o10[old]", "[/x]", "[bold]b[/bold]", ":smile:", "\\[x]"])
def test_nothing_is_taken_for_markup(screen, text):
    printed(text)
    # As text, twice in one, title, caption, two headings, two cells, two bars and one rate.
    assert screen.getvalue().count(text) == 12


def test_control_characters_are_written_out(screen):
    console.print("a\x1b[31mb\udcff\x07é\u202e")
    assert screen.getvalue() == "a\\x1b[31mb\\udcff\\x07é\\u202e\n"


def test_a_long_path_stays_in_one_piece(screen, monkeypatch):
    monkeypatch.setattr(console, "_width", 20)
    console.print("a" * 50, "written to the folder")
    assert screen.getvalue() == "a" * 50 + " written to the folder\n"


PROGRAM = r"""
import sys, typer
from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
app = typer.Typer(add_completion=False)
@app.command()
def command(fail: bool = False):
    console.print("\u00e9 \u25c0 \U0001f600")
    if fail:
        raise HoldfastError("\u00e9 \u25c0 \U0001f600 is none.")
sys.exit(run(app))
"""


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}, {"LANG": "C"}]
)
@pytest.mark.parametrize(("options", "code"), [([], 0), (["--fail"], 2)])
def test_a_terminal_without_the_characters(locale, options, code):
    environment = os.environ | {"PYTHONPATH": IMPORTABLE} | locale
    command = [sys.executable, "-c", PROGRAM, *options]
    result = subprocess.run(command, env=environment, capture_output=True, cwd=ROOT)
    assert result.returncode == code, result.stderr
    assert b"Traceback" not in result.stderr
