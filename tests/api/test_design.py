"""Networks and accelerators by name, size or file."""

import pytest

from holdfast.api import Accelerator, HoldfastError, load


def test_a_shipped_network():
    assert load("resnet8").network == "resnet8"


def test_sizes_and_guard():
    chip = Accelerator(rows=4, cols=2, guard=True)
    config = chip.hardware(load("resnet8"))
    assert (config.rows, config.cols) == (4, 2)
    assert chip.guard_setting(config) == "bound"
    assert Accelerator().guard_setting(config) == "off"
    assert Accelerator(guard="zero").guard_setting(config) == "zero"


def test_a_file(place):
    config = Accelerator(config=place / "chip.toml").hardware(load("small.safetensors"))
    assert (config.rows, config.act_depth) == (2, 2048)
    chip = Accelerator(guard=True)
    assert chip.guard_setting(config.with_(learnt_bounds=False)) == "fixed"
    assert chip.guard_setting(config.with_(guard=False)) == "off"


@pytest.mark.parametrize(
    ("chip", "told"),
    [
        (Accelerator(rows=0), "rows"),
        (Accelerator(rows=2, config="chip.toml"), "the configuration already says rows and cols"),
        (Accelerator(config="absent.toml"), "absent.toml"),
        (Accelerator(config=3), "config must be a path, not 3"),
        (Accelerator(rows="8"), "rows must be an integer, not '8'"),
        (Accelerator(guard="both"), "the guard is off, bound, zero, fixed, not 'both'"),
        (Accelerator(guard=3), "guard must be True, False or a name, not 3"),
    ],
)
def test_mistakes(chip, told, place):
    with pytest.raises(HoldfastError, match=told):
        chip.guard_setting(chip.hardware(load("small.safetensors")))


def test_there_is_no_such_network():
    with pytest.raises(HoldfastError, match="there is no network 'nothing'"):
        load("nothing")
