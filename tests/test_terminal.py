"""What every room keeps to, so that no text of a user's or a file's harms a terminal or a file."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("base", "gen", "nn", "sim", "fault", "constraints", "explore", "api", "cli")
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
FROM_RICH = {"Table", "Text"}
"""What rooms above the ground floor take from Rich: nothing that prints or reads markup."""
MARKUP = re.compile(r"\[/?(?:(?:bold|dim|italic|red|green|yellow|blue|cyan|magenta)\b[^\]]*)?\]")
OPENS = {"open", "read_text", "write_text", "NamedTemporaryFile", "TemporaryFile", "fdopen"}
RUNS = {"run", "Popen", "check_output"}
# What they print is read by the process that started the simulator.
BENCHES = ("fault/injection/cocotb_bench.py",)
# It runs on a board, without this project.
ALONE = "constraints/zynq_driver.py"


def nodes(path, kind):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, kind)]


def name_of(call):
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def given(call, *names):
    return any(keyword.arg in names for keyword in call.keywords)


def binary(call):
    texts = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    texts += [k.value.value for k in call.keywords if k.arg == "mode"]
    return any("b" in text and len(text) <= 3 for text in texts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_ground_floor_has_a_console(path):
    if path.parent.name == "base":
        return
    for node in nodes(path, ast.ImportFrom):
        if (node.module or "").partition(".")[0] == "rich":
            assert {alias.name for alias in node.names} <= FROM_RICH
    for node in nodes(path, ast.Import):
        assert not any(alias.name.startswith("rich") for alias in node.names)
    if str(path.relative_to(ROOT)) not in BENCHES:
        names = [node.func.id for node in nodes(path, ast.Call) if isinstance(node.func, ast.Name)]
        assert "print" not in names
    for node in nodes(path, ast.Constant):
        if isinstance(node.value, str):
            assert not MARKUP.search(node.value.replace("[]", "")), node.value


def opens_text(call):
    """Whether a call opens or runs something whose text is decoded, without saying how."""
    name = name_of(call)
    if name in RUNS and given(call, "text", "universal_newlines"):
        return not given(call, "encoding")
    if name not in OPENS or given(call, "encoding"):
        return False
    if name in ("read_text", "write_text"):
        # As a function it is that of base.files.
        return isinstance(call.func, ast.Attribute)
    if isinstance(call.func, ast.Attribute) and getattr(
        call.func.value, "id", getattr(call.func.value, "attr", "")
    ) in (
        "tarfile", "Image", "os", "Holdfast", "zipfile", "_zip",
    ):  # fmt: skip
        return name == "fdopen" and not binary(call)
    return not binary(call) and name not in ("TemporaryFile", "NamedTemporaryFile")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_text_is_utf8_whatever_the_locale(path):
    if str(path.relative_to(ROOT)) == ALONE:
        return
    found = [ast.unparse(call) for call in nodes(path, ast.Call) if opens_text(call)]
    assert not found


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Path('a').read_text()", True),
        ("path.write_text('x')", True),
        ("path.read_text(encoding='utf-8')", False),
        ("read_text(path, 'study')", False),
        ("open('a')", True),
        ("open('a', 'rb')", False),
        ("path.open('wb')", False),
        ("path.open('w')", True),
        ("subprocess.run(['a'], text=True)", True),
        ("subprocess.run(['a'], encoding='utf-8')", False),
        ("tarfile.open(path)", False),
    ],
)
def test_what_is_wrong_is_found(text, wrong):
    (call,) = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and name_of(node) in OPENS | RUNS
    ]
    assert opens_text(call) is wrong


@pytest.mark.parametrize("text", ["[bold]x[/]", "[bold red]x", "[/red]", "[red]"])
def test_markup_is_found(text):
    assert MARKUP.search(text)
