"""How commands end."""

import pytest
import typer

from base.command import run
from base.errors import HoldfastError


@pytest.mark.parametrize(
    ("ending", "code", "told"),
    [
        (None, 0, ""),
        (3, 3, ""),
        (HoldfastError("rows must be 1 to 16, not 0."), 2, "rows must be 1 to 16, not 0.\n"),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
        (EOFError(), 130, "Stopped.\n"),
    ],
)
def test_endings(ending, code, told, capsys, monkeypatch):
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def command():
        if isinstance(ending, BaseException):
            raise ending
        return ending

    monkeypatch.setattr("sys.argv", ["command"])
    assert run(app) == code
    assert capsys.readouterr().err.lstrip("\n") == told


def test_an_unknown_option(capsys, monkeypatch):
    app = typer.Typer(add_completion=False)
    app.command()(lambda: None)
    monkeypatch.setattr("sys.argv", ["command", "--nope"])
    assert run(app) == 2
    assert "--nope" in capsys.readouterr().err


def test_a_bug_is_not_hidden(monkeypatch):
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def command():
        raise ValueError("bug")

    monkeypatch.setattr("sys.argv", ["command"])
    with pytest.raises(ValueError, match="bug"):
        run(app)
