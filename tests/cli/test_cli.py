"""The one command: what it lists and imports; each part is the command of its room."""

import os
import subprocess
import sys
import tomllib
from importlib import import_module, metadata

import nox.registry
import pytest
import typer

import noxfile
from holdfast.base.command import repeated, run
from holdfast.cli import COMMANDS, app, main
from tests.base.living import IMPORTABLE, ROOT

LINES = {"campaign": 62}
"""Where 32 options do not fit a screen."""
HEAVY = ("torch", "numpy", "amaranth", "pyarrow", "scipy", "cocotb")


def called(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["holdfast", *arguments])
    code = main()
    return (code, *capsys.readouterr())


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_no_room_is_imported_before_it_is_used(option):
    program = (
        f"import sys; sys.argv[1:] = [{option!r}]; from holdfast.cli import main; code = main();"
        f"print([name for name in {HEAVY} if name in sys.modules],"
        "{name.split('.')[1] for name in sys.modules if name.startswith('holdfast.')}, code)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": IMPORTABLE},
    ).stdout  # fmt: skip
    assert told.splitlines()[-1] in ("[] {'base', 'cli'} 0", "[] {'cli', 'base'} 0")


@pytest.mark.parametrize(("terminal", "told"), [(True, "Loading rates ... \r\033[K"), (False, "")])
def test_a_terminal_is_told_at_once_what_is_loaded(monkeypatch, capsys, terminal, told):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert called(monkeypatch, capsys, "rates", "--help")[2] == told


def test_help_lists_every_command_once(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    code, told, _ = called(monkeypatch, capsys, "--help")
    assert code == 0 and len(told.splitlines()) <= 50
    for name, command in COMMANDS.items():
        assert told.count(f"│ {name} ") == 1 and command.help in told


def test_the_version(monkeypatch, capsys):
    assert called(monkeypatch, capsys, "--version") == (
        0, f"holdfast {metadata.version('holdfast')}\n", "",
    )  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_own_help(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    code, told, _ = called(monkeypatch, capsys, name, "--help")
    assert code == 0 and f"Usage: holdfast {name} [OPTIONS]" in told
    assert len(told.splitlines()) <= LINES.get(name, 50)
    room = import_module(f"holdfast.{COMMANDS[name].module}")
    commands = typer.main.get_command(room.app)
    own = getattr(commands, "commands", {}).get(name, commands)
    for parameter in own.params:
        assert parameter.opts[0] in told or parameter.param_type_name == "argument"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("campain",), "No such command 'campain'. Did you mean 'campaign'?\n"),
        (("generate", "--nope"), "No such option: --nope (Possible options: --name).\n"),
        (("generate", "--name", "x"), "--name needs --config.\n"),
        (("--nope",), "No such option: --nope.\n"),
        (("recommend",), "recommend needs --min-accuracy, --max-sdc, --max-lut or --max-cycles.\n"),
        (
            ("explore", "recommend"),
            "recommend needs --min-accuracy, --max-sdc, --max-lut or --max-cycles.\n",
        ),
    ],
)
def test_a_mistake_is_one_sentence(arguments, told, monkeypatch, capsys):
    assert called(monkeypatch, capsys, *arguments) == (2, "", told)


@pytest.mark.parametrize("name", sorted({*COMMANDS} - {"generate", "bitstream", "recommend"}))
def test_options_are_in_groups(name):
    """All of them: what no group has would be in front of the groups."""
    room = import_module(f"holdfast.{COMMANDS[name].module}")
    top = typer.main.get_command(room.app)
    commands = getattr(top, "commands", {name: top})
    for parameter in commands.get(name, commands.get("predict", top)).params:
        option = parameter.param_type_name == "option" and parameter.name != "help"
        assert parameter.rich_help_panel or not option, parameter.name


def test_without_a_command_the_commands_are_told(monkeypatch, capsys):
    code, told, error = called(monkeypatch, capsys)
    assert code == 2 and error == "Missing command.\n" and not told


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_options(name, monkeypatch, capsys):
    """As the shell asks for it."""
    words = "holdfast cam"
    monkeypatch.setenv("_HOLDFAST_COMPLETE", f"complete_{name}")
    for variable, value in {
        "COMP_WORDS": words, "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }.items():  # fmt: skip
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr("sys.argv", ["holdfast"])
    with pytest.raises(SystemExit) as ended:
        run(app, "holdfast")
    assert ended.value.code == 0 and "campaign" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "again"),
    [
        (["campaign", "--faults", "9"], "holdfast campaign --faults 9"),
        (["--faults", "9"], "holdfast campaign --faults 9"),
        (["campaign", "--store", "a b\x1b"], r"holdfast campaign --store 'a b\x1b'"),
        ([], "holdfast campaign"),
    ],
)
def test_the_command_line_that_repeats_a_run(given, again, monkeypatch):
    monkeypatch.setattr("sys.argv", ["anything", *given])
    assert repeated("campaign") == again


def test_the_sessions_of_nox_call_it(monkeypatch):
    called = []
    monkeypatch.setattr(noxfile, "python", lambda session, *words: called.append(words))
    sessions = nox.registry.get()
    for name in set(COMMANDS) - {"recommend", "run"}:
        sessions[name](None)
        assert called.pop() == ("-m", "holdfast.cli", name) and sessions[name].__doc__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["scripts"] == {"holdfast": "holdfast.cli:main"}
