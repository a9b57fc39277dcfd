"""Examples of the pages: commands have the options that they use, code runs."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import nox.registry
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

import noxfile  # noqa: F401 (registers the sessions)
from holdfast.cli import app
from holdfast.explore.study import Study
from holdfast.fault.results.environment import Environment
from holdfast.gen.configuration_file import read_configuration

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:python3 -m )?(?:nox -s|(?:\.nox/holdfast/bin/)?holdfast) [^`]+)`")
COMMAND = re.compile(
    r"^ {4,}(?:\$ )?((?:python3 -m )?(?:nox -s|(?:\.nox/holdfast/bin/)?holdfast) (?:.*\\\n)*.*)",
    re.MULTILINE,
)
OTHER_OPTIONS = {"tests", "lock", "lint", "docs", "bench"}
"""Sessions whose options are of other programs."""


def commands(text):
    """Command lines of a page."""
    found = [match.replace("\\\n", " ") for match in COMMAND.findall(text)]
    return found + [" ".join(match.split()) for match in INLINE.findall(text)]


LINES = sorted({(page.name, line) for page in PAGES for line in commands(page.read_text("utf-8"))})


def words_of(line):
    """The words behind ``holdfast`` that a command line stands for; None without a command."""
    words = ["434" if word == "N" else word for word in shlex.split(line, comments=True)]
    if words[:2] == ["python3", "-m"]:
        words = words[2:]
    if words[0] == "nox":
        session, rest = words[2], words[3:]
        assert session in nox.registry.get(), session
        assert not rest or rest[0] == "--", "options need -- before them"
        return None if session in OTHER_OPTIONS else [session, *rest[1:]]
    return words[1:]


def check(words):
    """Parse a command's options, without running it."""
    group = typer.main.get_command(app)
    with group.make_context("holdfast", list(words)) as context:
        name, command, rest = group.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        if name is None:
            return
        command.make_context(name, rest, parent=context).close()


@pytest.mark.parametrize(("page", "line"), LINES)
def test_commands_have_the_options_that_they_use(page, line):
    words = words_of(line)
    # A few are shown with dots for what the reader chooses.
    # Completion would be installed.
    if words is None or "..." in line or "completion" in line:
        return
    if {"--help", "--version"} & set(words):
        with pytest.raises(typer.Exit):
            check(words)
        return
    try:
        check(words)
    except Exception as error:
        # In a sentence, options may stand without what they need beside them.
        assert re.search("requires an argument|Missing parameter", str(error)), error


@pytest.mark.parametrize("line", ["nox -s sim -- --nope 1", "nox -s sim -- --faults x"])
def test_a_wrong_option_is_found(line):
    with pytest.raises(Exception, match=r"No such option|valid integer"):
        check(words_of(line))


@pytest.fixture
def results(tmp_path, monkeypatch):
    """What the examples read: a configuration, results of a main job and of a campaign."""
    monkeypatch.chdir(tmp_path)
    Path("my.toml").write_text("rows = 16\ncols = 8\n")
    Path("build/sim").mkdir(parents=True)
    fault = {"id": "stem/i0/c1/x[0]", "structure": "weight", "effect": "masked"}
    Path("build/sim/summary.json").write_text(json.dumps({"faults": [fault]}))
    shards = Path("build/campaign/resnet8_8x8_a8w8_guard/shards")
    shards.mkdir(parents=True)
    columns = {"structure": ["weight"], "effect": ["masked"], "fault": ["c1/x[0]"]}
    pq.write_table(pa.table(columns), shards / "weight-000000.parquet")


BLOCKS = [
    (page.name, language, block)
    for page in PAGES
    for language, block in FENCED.findall(page.read_text("utf-8"))
]


@pytest.mark.parametrize(("page", "language", "block"), BLOCKS)
def test_blocks_of_code(page, language, block, results, tmp_path, capsys):
    if language == "python":
        exec(compile(block, page, "exec"), {"__name__": "example"})
        assert "print" not in block or "masked" in capsys.readouterr().out
    elif language == "toml":
        content = tomllib.loads(block)
        if "networks" in content or "arrays" in content:
            study = tmp_path / "study.toml"
            study.write_text(block)
            Study.from_toml(study)
        elif "rates" in content:
            place = tmp_path / "environment.toml"
            place.write_text(block)
            assert Environment.read(place).source
        else:
            chip = tmp_path / "chip.toml"
            chip.write_text(block)
            assert read_configuration(chip).values
    else:
        assert not language, f"nothing runs {language}"
