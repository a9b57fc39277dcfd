"""The released Verilog is what the generator writes today."""

from pathlib import Path

import pytest

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.verilog import REFERENCES, emit

RTL = Path(__file__).parents[2] / "rtl"


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("name", REFERENCES)
def test_released_verilog_is_current(name):
    assert AcceleratorConfig.from_toml(RTL / f"{name}.toml") == REFERENCES[name]
    released = (RTL / f"{name}.v").read_text()
    assert released == emit(REFERENCES[name], name), f"rtl/{name}.v is stale: run nox -s generate"


def test_every_released_file_has_a_configuration():
    assert {path.stem for path in RTL.glob("*.v")} == set(REFERENCES)


def test_the_guard_can_be_left_out():
    assert "guard_lo" in (RTL / "holdfast_8x8_guard.v").read_text()
    plain = (RTL / "holdfast_8x8.v").read_text()
    assert "guard_" not in plain.replace("module holdfast_8x8", "")
