"""The command that writes Verilog."""

import pytest

from base.command import run
from gen.__main__ import app
from gen.config import AcceleratorConfig

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
        (("--output", "{}/my.toml/rtl"), SMALL, "cannot make folder"),
    ],
)
def test_mistakes(generate, tmp_path, capsys, options, config, message):
    assert generate("--config", "{}/my.toml", *options, config=config) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["my.toml"]


def test_a_name_needs_a_configuration(generate, capsys):
    assert generate("--name", "my_core") == 2
    assert "--name needs --config" in capsys.readouterr().err
