"""The accelerator that a network gets unless a file says otherwise."""

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.protection.presets import PRESETS
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.configuration import configuration
from tests.fault.tiny import CONFIG, graph


def test_widths_are_the_networks():
    found = configuration(graph(), None, 3, None)
    assert (found.rows, found.cols) == (3, 8)
    assert (found.act_bits, found.weight_bits) == (graph().act_bits, graph().weight_bits)
    assert (found.multiplier_bits, found.rounding) == (graph().multiplier_bits, graph().rounding)
    assert found == AcceleratorConfig(rows=3)
    assert compile_graph(graph(), found).steps


def test_sums_that_need_more_bits_get_them(monkeypatch):
    monkeypatch.setattr(type(graph()), "accumulator_bits", lambda self, node: 29)
    assert configuration(graph(), None, None, None).acc_bits == 29


def test_a_file_says_all(tmp_path):
    (tmp_path / "a.toml").write_text(CONFIG.to_toml())
    assert configuration(graph(), tmp_path / "a.toml", None, None) == CONFIG
    for size in ((2, None), (None, 2)):
        with pytest.raises(HoldfastError, match="the configuration already says rows and cols"):
            configuration(graph(), tmp_path / "a.toml", *size)


def test_a_preset_takes_the_place_of_protections(tmp_path):
    assert configuration(graph(), None, 2, 2, "light").protections == PRESETS["light"]
    strong = CONFIG.with_(protections=PRESETS["strong"])
    (tmp_path / "a.toml").write_text(strong.to_toml())
    assert configuration(graph(), tmp_path / "a.toml", None, None) == strong
    assert configuration(graph(), tmp_path / "a.toml", None, None, "none") == CONFIG
    with pytest.raises(HoldfastError, match=r"^protection must be one of none, .*, not 'most'\.$"):
        configuration(graph(), None, None, None, "most")
