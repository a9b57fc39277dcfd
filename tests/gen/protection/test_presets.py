"""The table ``[protection]``: presets, units that differ, and what is refused."""

from itertools import pairwise

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.configuration_file import read_configuration
from holdfast.gen.protection.presets import PRESETS, UNITS, chosen, preset_of
from holdfast.gen.protection.registry import PROTECTIONS


def test_every_unit_names_protections_that_there_are():
    for mechanisms in UNITS.values():
        assert set(mechanisms.values()) <= set(PROTECTIONS)
    known = {name for mechanisms in UNITS.values() for name in mechanisms.values()}
    for members in PRESETS.values():
        assert set(members) <= known


def test_each_preset_holds_the_one_before():
    sizes = [set(members) for members in PRESETS.values()]
    assert all(small < large for small, large in pairwise(sizes))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_file_names_a_preset(preset, tmp_path):
    path = tmp_path / "chip.toml"
    path.write_text(f'guard = false\n[protection]\npreset = "{preset}"\n', encoding="utf-8")
    config = read_configuration(path)
    assert config.protections == PRESETS[preset]
    assert config.name == "8x8_a8w8" + (f"_{preset}" if preset != "none" else "")
    path.write_text(config.to_toml(), encoding="utf-8")
    assert read_configuration(path) == config


def test_units_differ_from_the_preset():
    table = {"preset": "light", "weights": "none", "descriptor": "parity"}
    found = chosen(table, "it")
    assert set(found) == {*PRESETS["light"], "descriptor_check"} - {"weight_parity"}
    assert preset_of(found) is None
    assert chosen({"program": "check_word"}, "it") == ("program_check",)
    assert chosen({}, "it") == ()


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('preset = "all"', "protection must be one of none, light, balanced, strong, not 'all'."),
        ("preset = 3", "not 3."),
        ('memory = "parity"', "has an unknown unit 'memory'; known are program, parameters, "),
        ('weights = "secded"', "weights can have none, parity, not 'secded'."),
        ("preset = []", r"protection must be one of .*, not \[\]."),
        ("weights = []", r"weights can have none, parity, not \[\]."),
    ],
)
def test_a_table_of_something_else_is_refused(table, sentence, tmp_path):
    path = tmp_path / "chip.toml"
    path.write_text(f"[protection]\n{table}\n", encoding="utf-8")
    with pytest.raises(HoldfastError, match=sentence):
        read_configuration(path)


def test_protections_are_named_once(tmp_path):
    path = tmp_path / "chip.toml"
    path.write_text('protections = []\n[protection]\npreset = "light"\n', encoding="utf-8")
    with pytest.raises(HoldfastError, match="must name its protections once"):
        read_configuration(path)
    path.write_text('protection = "light"\n', encoding="utf-8")
    with pytest.raises(HoldfastError, match="must name its protections once"):
        read_configuration(path)


@pytest.mark.parametrize(
    ("alone", "needs"),
    [("descriptor_check", "program_check"), ("stationary_parity", "weight_parity")],
)
def test_what_takes_the_bits_of_another_needs_it(alone, needs, tmp_path):
    path = tmp_path / "chip.toml"
    path.write_text(AcceleratorConfig(protections=(alone,)).to_toml(), encoding="utf-8")
    with pytest.raises(HoldfastError, match=f"^{alone} takes .* of {needs}, which is not among"):
        read_configuration(path)


def test_a_driver_of_another_protection_is_told():
    """Descriptors carry the signature of the configuration, protections included."""
    signatures = {AcceleratorConfig(protections=members).signature for members in PRESETS.values()}
    assert len(signatures) == len(PRESETS)
