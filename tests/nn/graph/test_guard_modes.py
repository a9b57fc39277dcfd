"""Settings of the range guard and the accelerators that know them."""

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARD_ON, GUARDS, guard_name, named_guard

LEARNT = AcceleratorConfig()
FIXED = AcceleratorConfig(learnt_bounds=False)
BARE = AcceleratorConfig(guard=False)


@pytest.mark.parametrize(
    ("config", "names", "without"),
    [
        (LEARNT, {"off", "bound", "zero"}, "bound"),
        (FIXED, {"off", "fixed"}, "fixed"),
        (BARE, {"off"}, "off"),
        (BARE.with_(learnt_bounds=False), {"off"}, "off"),
    ],
)
def test_every_accelerator_knows_its_settings(config, names, without):
    known = set()
    for name in GUARDS:
        try:
            known.add(guard_name(named_guard(name, config)))
        except HoldfastError as error:
            assert config.name in str(error)
    assert known == names
    assert named_guard(None, config) == GUARDS[without]


@pytest.mark.parametrize(
    ("config", "name", "message"),
    [
        (LEARNT, "on", "the guard is off, bound, zero, fixed, not 'on'."),
        (BARE, "bound", "the guard cannot be switched on: accelerator 8x8_a8w8 has none."),
        (
            FIXED,
            "zero",
            "the guard of accelerator 8x8_a8w8_fixedguard has fixed bounds: its settings are off, "
            "fixed.",
        ),
    ],
)
def test_unknown_settings(config, name, message):
    with pytest.raises(HoldfastError) as caught:
        named_guard(name, config)
    assert str(caught.value) == message


def test_control_bits():
    assert not any(GUARD_OFF.control.values())
    assert GUARD_ON.control == {"guard_output": True, "guard_input": True, "guard_zero": False}
    assert GUARDS["fixed"].control == {
        "guard_output": True, "guard_input": False, "guard_zero": True,
    }  # fmt: skip
