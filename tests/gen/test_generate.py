"""The command that writes Verilog."""

import subprocess
from pathlib import Path

import pytest

from holdfast.base.command import run
from holdfast.gen.__main__ import app
from holdfast.gen.config import AcceleratorConfig
from holdfast.sim.tools import find_tools

ROOT = Path(__file__).parents[2]

SMALL = "rows = 2\ncols = 1\nact_depth = 16\nweight_depth = 16\nacc_depth = 8\nguard = false\n"


@pytest.fixture
def generate(tmp_path, monkeypatch):
    def call(*options: str, config: str = SMALL) -> int:
        (tmp_path / "my.toml").write_text(config)
        given = [option.format(tmp_path) for option in options]
        monkeypatch.setattr("sys.argv", ["generate", "--output", str(tmp_path / "rtl"), *given])
        return run(app)

    return call


def test_one_configuration(generate, tmp_path):
    assert generate("--config", "{}/my.toml", "--name", "my_core") == 0
    assert {path.name for path in (tmp_path / "rtl").iterdir()} == {"my_core.v", "my_core.toml"}
    assert "module my_core(" in (tmp_path / "rtl" / "my_core.v").read_text()
    written = AcceleratorConfig.from_toml(tmp_path / "rtl" / "my_core.toml")
    assert written == AcceleratorConfig.from_toml(tmp_path / "my.toml")


@pytest.mark.parametrize(
    ("options", "config", "message"),
    [
        ((), "rows = 0", "rows must be 1 to 16, not 0."),
        ((), "rosw = 1", "has an unknown key 'rosw'"),
        (("--name", "8x8"), SMALL, "identifier of 1 to 100 characters, not '8x8'."),
        (("--uart", "3"), SMALL, "--uart must be 4 to 1,048,576, not 3."),
        (("--checksum",), SMALL, "--checksum needs --uart."),
        (("--output", "{}/my.toml/rtl"), SMALL, "cannot make folder"),
    ],
)
def test_mistakes(generate, tmp_path, capsys, options, config, message):
    assert generate("--config", "{}/my.toml", *options, config=config) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["my.toml"]


def test_checksum_is_an_option_of_the_serial_port(generate, tmp_path):
    texts = []
    for options in ((), ("--checksum",)):
        assert generate("--config", "{}/my.toml", "--uart", "10", *options) == 0
        texts.append((tmp_path / "rtl/holdfast.v").read_text())
    plain, checked = ("uart.checksum" in text for text in texts)
    assert checked and not plain


@pytest.mark.parametrize("option", [("--name", "my_core"), ("--uart", "434")])
def test_what_needs_a_configuration(generate, capsys, option):
    assert generate(*option) == 2
    assert capsys.readouterr().err == f"{option[0]} needs --config.\n"


@pytest.mark.parametrize("name", ["module", "endmodule", "wire", "logic", "always_ff", "within"])
def test_no_module_is_called_by_a_keyword(generate, tmp_path, capsys, name):
    assert generate("--config", "{}/my.toml", "--name", name) == 2
    told = f"no module can be called {name}: it is a keyword of Verilog.\n"
    assert capsys.readouterr().err == told
    assert [path.name for path in tmp_path.rglob("*")] == ["my.toml"]


@pytest.mark.parametrize("name", ["clk", "s_axi_awvalid", "sequencer", "pe_0_0"])
def test_no_module_is_called_like_something_inside(generate, tmp_path, capsys, name):
    """Verilator refuses a signal that is called like its module."""
    assert generate("--config", "{}/my.toml", "--name", name) == 2
    told = f"no module can be called {name}: something inside has this name.\n"
    assert capsys.readouterr().err == told
    assert [path.name for path in tmp_path.rglob("*")] == ["my.toml"]


@pytest.mark.parametrize("name", ["_", "X" * 100])
def test_other_names_are_read_by_verilator(generate, tmp_path, name):
    assert generate("--config", "{}/my.toml", "--name", name) == 0
    tools = find_tools()
    command = [tools.verilator, "--lint-only", "-Wno-lint", "-Wno-fatal", "--top-module", name]
    subprocess.run(
        [*command, "--default-language", "1364-2005", f"{name}.v"],
        cwd=tmp_path / "rtl", env=dict(tools.environment), check=True, capture_output=True,
    )  # fmt: skip


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("holdfast.gen.__main__.emit", lambda *_: "module\n")


def test_everything_lies_where_it_was_asked_for(generate, tmp_path, quick):
    assert generate() == 0
    written = {path.name for path in (tmp_path / "rtl").iterdir()}
    released = {path.name for path in (ROOT / "rtl").iterdir()}
    assert written == released | {"reference.md"}
    assert {path.name for path in tmp_path.iterdir()} == {"rtl", "my.toml"}
    page = (tmp_path / "rtl/reference.md").read_text(encoding="utf-8")
    assert "[holdfast.h](holdfast.h)" in page and "../" not in page


def test_without_a_place_it_is_the_checkout(monkeypatch, tmp_path, quick):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["generate"])
    assert run(app) == 0
    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    released = {f"rtl/{path.name}" for path in (ROOT / "rtl").iterdir()}
    assert files == released | {"docs/reference.md"}
    for name in ("docs/reference.md", "rtl/holdfast.h"):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()
