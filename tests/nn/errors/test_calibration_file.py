"""A damaged or hostile file of a calibrated fault model is a sentence, or a model that draws."""

from dataclasses import replace

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.nn.errors.calibration_file import read_calibration
from holdfast.nn.graph.guard_modes import GuardSettings
from tests.nn.errors.test_empirical import CODE, DENSE, MAP, POINT, calibration
from tests.nn.mutations import run_survey

OTHER = (1, 1, True, 1.0, 1, 1, [(2, 0, 0, 5, 3)])


@pytest.mark.long(keep=1)
@pytest.mark.parametrize("count", [500, 2000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_mutants(count, tmp_path):
    files = [tmp_path / "first.npz", tmp_path / "second.npz"]
    for path, templates in zip(files, ([POINT, MAP, DENSE, CODE], [CODE, OTHER]), strict=True):
        calibration(templates).save(path)
    found = run_survey("tests.nn.hostile_calibrations", count, tmp_path, *files)
    assert not found["wrong"], "\n".join(found["wrong"][:5])
    assert found["taken"] + found["refused"] == count
    assert found["taken"] > count // 20
    assert not found["strangers"]
    assert found["peak"] < 1e9


def test_a_guard_is_what_manifests_hold(tmp_path):
    """The mode of a protection beside the range guard is a name."""
    model = calibration([POINT])
    values = GuardSettings(mode="parity").values
    replace(model, guard=values).save(tmp_path / "mode.npz")
    header, _ = read_calibration(tmp_path / "mode.npz")
    assert header["guard"] == values and values["mode"] == "parity"
    replace(model, guard=values | {"mode": 3}).save(tmp_path / "mode.npz")
    with pytest.raises(HoldfastError, match="must be true or false, its mode a text, not "):
        read_calibration(tmp_path / "mode.npz")
