"""Random command lines end in a result or in one sentence, and write only where they were told."""

import random

import pytest
import typer

from holdfast.base.command import run
from tests.command_lines import APPS, BeginsError, files, line, sort_of, stop_where_work_begins

LONGEST = 1500
COUNT = 2000 // len(APPS)
WRITTEN = {"build", "rtl", "docs"}
"""Where commands write unless they are told otherwise."""


@pytest.fixture
def place(tmp_path, monkeypatch):
    folder = tmp_path / "up" / "here"
    folder.mkdir(parents=True)
    files(folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HOLDFAST_DATA", raising=False)
    monkeypatch.delenv("HOLDFAST_CACHE", raising=False)
    monkeypatch.setattr("holdfast.nn.data.cifar._SHARED", tmp_path / "absent")
    stop_where_work_begins(monkeypatch)
    return folder


def ended(app_name, arguments, monkeypatch, capfd):
    """Exit code, or None where work began, and what was said."""
    monkeypatch.setattr("sys.argv", [app_name, *arguments])
    try:
        code = run(APPS[app_name])
    except BeginsError:
        code = None
    return code, capfd.readouterr().err


def check(app_name, count, place, monkeypatch, capfd):
    source = random.Random(f"{app_name} {count}")
    before = set(place.iterdir())
    codes = set()
    for _ in range(count):
        arguments = line(source, app_name)
        code, told = ended(app_name, arguments, monkeypatch, capfd)
        codes.add(code)
        assert code in (None, 0, 1, 2, 130), arguments
        if code == 2:
            assert told.count("\n") == 1 and told[-2] in ".?", (arguments, told)
            assert told[:-1].isprintable() and len(told) < LONGEST, (arguments, told)
        assert {path.name for path in place.parent.iterdir()} == {"here"}, arguments
        given = {text.partition("/")[0] for word in arguments for text in (word, word.strip())}
        made = {path.name for path in place.iterdir() if path not in before}
        assert made <= WRITTEN | given, arguments
        before |= set(place.iterdir())
    assert {None, 0} & codes and 2 in codes


@pytest.mark.parametrize("app_name", APPS)
def test_random_command_lines(app_name, place, monkeypatch, capfd):
    check(app_name, COUNT, place, monkeypatch, capfd)


@pytest.mark.slow
@pytest.mark.parametrize("app_name", APPS)
def test_many_random_command_lines(app_name, place, monkeypatch, capfd):
    check(app_name, 10 * COUNT, place, monkeypatch, capfd)


@pytest.mark.parametrize("app_name", APPS)
def test_every_option_has_a_bound(app_name):
    """Numbers, texts and paths alike; base.options makes them."""
    top = typer.main.get_command(APPS[app_name])
    for command in (top, *getattr(top, "commands", {}).values()):
        for parameter in command.params:
            if parameter.name == "help" or getattr(parameter, "is_flag", False):
                continue
            assert sort_of(parameter), parameter.name
