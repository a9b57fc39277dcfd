import dataclasses
import os
import random

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import ROUNDINGS, AcceleratorConfig
from tests.toml_mutations import mutated

BOUNDS = {
    "rows": (1, 16),
    "cols": (1, 16),
    "act_bits": (2, 8),
    "weight_bits": (2, 8),
    "acc_bits": (8, 32),
    "multiplier_bits": (0, 24),
    "act_banks": (2, 4),
    "act_depth": (1, 1 << 16),
    "weight_depth": (1, 1 << 20),
    "acc_depth": (1, 1 << 12),
    "param_depth": (1, 1 << 14),
    "program_depth": (1, 1 << 12),
}
OTHER = {"rounding", "guard", "learnt_bounds", "dataflow", "protections"}


def refused(**values) -> str:
    with pytest.raises(HoldfastError) as caught:
        AcceleratorConfig(**values)
    return str(caught.value)


def test_every_field_has_a_bound():
    assert {f.name for f in dataclasses.fields(AcceleratorConfig)} == BOUNDS.keys() | OTHER


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds(name):
    low, high = BOUNDS[name]
    # Narrow codes fit every accumulator.
    narrow = {"act_bits": 2, "weight_bits": 2} if name == "acc_bits" else {}
    # A memory holds at least what one row or column of the array needs.
    narrow |= {"weight_depth": {"rows": 1, "cols": 4}, "param_depth": {"cols": 1}}.get(name, {})
    for value in (low, high):
        assert getattr(AcceleratorConfig(**narrow, **{name: value}), name) == value
    for value in (low - 1, high + 1, -5):
        if value == 0 and name in ("act_depth", "weight_depth"):
            continue
        assert refused(**{name: value}) == f"{name} must be {low} to {high}, not {value}."


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("value", [8.0, "8", True, None])
def test_numbers_are_integers(name, value):
    assert refused(**{name: value}) == f"{name} must be an integer, not {value!r}."


def test_other_types():
    assert refused(guard=1) == "guard must be true or false, not 1."
    assert refused(rounding=3) == "rounding must be a string, not 3."


def test_rounding():
    assert [AcceleratorConfig(rounding=r).rounding for r in ROUNDINGS] == list(ROUNDINGS)
    assert refused(rounding="up") == (
        "rounding must be one of half_up, half_even, floor, not 'up'."
    )


def test_accumulator_holds_a_product():
    assert AcceleratorConfig(acc_bits=16).acc_bits == 16
    assert refused(acc_bits=15) == (
        "acc_bits must be at least act_bits + weight_bits = 16, not 15."
    )


@pytest.mark.parametrize(("name", "unit"), [("weight_depth", "rows"), ("param_depth", "cols")])
def test_a_memory_holds_what_the_array_takes_at_once(name, unit):
    assert getattr(AcceleratorConfig(**{unit: 5, name: 5}), name) == 5
    assert refused(**{unit: 5, name: 4}) == f"{name} must be at least {unit} = 5, not 4."


@pytest.mark.parametrize(("cols", "most"), [(1, 1 << 20), (4, 1 << 20), (5, 1 << 19), (9, 1 << 18)])
def test_the_bus_sees_all_weights(cols, most):
    assert AcceleratorConfig(cols=cols, weight_depth=most).weight_depth == most
    if most < 1 << 20:
        assert refused(cols=cols, weight_depth=most + 1) == (
            f"weight_depth must be at most {most} where cols is {cols}, the words that the bus "
            f"can address, not {most + 1}."
        )


@pytest.mark.parametrize(
    ("size", "lanes", "blocks"),
    [((8, 8), 8, 1), ((3, 2), 3, 1), ((2, 5), 6, 3), ((1, 16), 16, 16), ((16, 1), 16, 1)],
)
def test_words(size, lanes, blocks):
    config = AcceleratorConfig(*size)
    assert (config.word_lanes, config.sub_blocks) == (lanes, blocks)
    assert config.act_depth * lanes >= 32768 > (config.act_depth - 1) * lanes
    assert config.weight_depth * size[1] >= 294912 > (config.weight_depth - 1) * size[1]


def test_derived_widths():
    config = AcceleratorConfig(act_bits=5, acc_bits=20, multiplier_bits=3)
    assert (config.guard_bits, config.max_shift, config.add_multiplier_bits) == (13, 22, 8)
    assert AcceleratorConfig(multiplier_bits=12).add_multiplier_bits == 12
    assert config.name == "8x8_a5w8_guard"
    assert config.with_(guard=False).name == "8x8_a5w8"
    assert config.with_(learnt_bounds=False).name == "8x8_a5w8_fixedguard"


def test_with_derives_depths_given_as_zero():
    config = AcceleratorConfig().with_(rows=4, cols=4, act_depth=0)
    assert config.act_depth == 8192
    with pytest.raises(HoldfastError, match="rows must be 1 to 16, not 0"):
        config.with_(rows=0)


def test_signature_tells_what_descriptors_depend_on():
    same = AcceleratorConfig(act_depth=5, weight_depth=9, guard=False).signature
    assert AcceleratorConfig().signature == same
    changed = [
        {"rows": 4}, {"cols": 4}, {"act_bits": 4}, {"weight_bits": 4}, {"acc_bits": 20},
        {"multiplier_bits": 8}, {"rounding": "floor"}, {"dataflow": "other"},
    ]  # fmt: skip
    signatures = {AcceleratorConfig(**values).signature for values in changed}
    assert len(signatures | {same}) == len(changed) + 1


@pytest.mark.parametrize(
    "config",
    [
        AcceleratorConfig(),
        AcceleratorConfig(3, 5, 4, 2, 12, 0, "floor", False, False, 4, 100, 200, 30, 40, 5),
        AcceleratorConfig(dataflow="other", protections=("parity", "vote_3")),
    ],
)
def test_toml_round_trip(config, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml())
    assert AcceleratorConfig.from_toml(path) == config


def test_dataflow_and_protections_are_named_only_where_they_are_not_the_default():
    assert not AcceleratorConfig().values.keys() & {"dataflow", "protections"}
    config = AcceleratorConfig(dataflow="other", protections=("parity",))
    assert config.name == "8x8_a8w8_guard_parity"
    assert AcceleratorConfig(**config.values) == config
    assert refused(protections="parity") == "protections must be a list of names, not 'parity'."
    for name in (3, "a b", "é", ""):
        assert refused(protections=(name,)) == (
            f"dataflow and protections are names of small letters, digits and _, not {name!r}."
        )


def test_toml_defaults(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("rows = 4\n")
    assert AcceleratorConfig.from_toml(path) == AcceleratorConfig(rows=4)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("row = 4\n", "configuration {} has an unknown key 'row'; known are rows, cols, "),
        ("rows = \n", "configuration {} is not valid TOML: "),
        ("rows = 17\n", "rows must be 1 to 16, not 17."),
        ("rows = 8.0\n", "rows must be an integer, not 8.0."),
        ("guard = 'yes'\n", "guard must be true or false, not 'yes'."),
        ("[rows]\n", "rows must be an integer, not {{}}."),
    ],
)
def test_bad_toml(text, sentence, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(HoldfastError) as caught:
        AcceleratorConfig.from_toml(path)
    assert str(caught.value).startswith(sentence.format(path))


def test_missing_and_binary_toml(tmp_path):
    path = tmp_path / "absent.toml"
    with pytest.raises(HoldfastError) as caught:
        AcceleratorConfig.from_toml(path)
    assert str(caught.value) == f"cannot read configuration {path}: No such file or directory."
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(HoldfastError, match="is not UTF-8 text"):
        AcceleratorConfig.from_toml(path)


def check_mutations(count, path):
    source = random.Random(count)
    text, whole = AcceleratorConfig().to_toml(), 0
    for _ in range(count):
        path.write_bytes(mutated(source, text))
        try:
            read = AcceleratorConfig.from_toml(path)
        except HoldfastError as error:
            told = str(error)
            assert told.isprintable() and told.endswith(".") and len(told) < 1500, told
        else:
            whole += 1
            path.write_text(read.to_toml(), encoding="utf-8")
            assert AcceleratorConfig.from_toml(path) == read
    assert 0 < whole < count / 2


def test_mutated_files(tmp_path):
    check_mutations(2000, tmp_path / "config.toml")


@pytest.mark.slow
def test_many_mutated_files(tmp_path):
    check_mutations(20_000, tmp_path / "config.toml")


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name in (".", "pipe", "link", "/dev/zero", "/dev/null", "a\0b", "n" * 300):
        with pytest.raises(HoldfastError, match="cannot read configuration"):
            AcceleratorConfig.from_toml(tmp_path / name)


def test_a_file_that_is_too_large(tmp_path):
    (tmp_path / "large.toml").write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(HoldfastError, match="has 1,048,577 bytes, at most 1,048,576 are read"):
        AcceleratorConfig.from_toml(tmp_path / "large.toml")
