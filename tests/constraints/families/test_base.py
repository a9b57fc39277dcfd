"""Dividers of the families' PLLs, and what cells count as."""

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.constraints.families.base import Cells, Cost
from holdfast.constraints.families.registry import FAMILIES


@pytest.mark.parametrize(
    ("family", "source", "target"),
    [("ecp5", 25, 80), ("ecp5", 25, 100), ("ice40", 12, 48), ("gowin", 27, 54), ("xc7", 100, 100)],
)
def test_pll(family, source, target):
    """Frequencies of loop and oscillator, from the block diagrams in the vendors' guides."""
    setting = FAMILIES[family].dividers(source, target)
    detector = source / setting.divide
    if family in ("ecp5", "gowin"):
        output = detector * setting.multiply
        oscillator = output * setting.post
    else:
        oscillator = detector * setting.multiply
        output = oscillator / setting.post
    assert output == target
    low, high = {
        "ecp5": (400, 800),
        "ice40": (533, 1066),
        "gowin": (500, 1250),
        "xc7": (800, 1600),
    }[family]
    assert low <= oscillator <= high


def test_pll_out_of_reach():
    with pytest.raises(HoldfastError, match=r"cannot make 81\.37 MHz of 25 MHz"):
        FAMILIES["ecp5"].dividers(25, 81.37)


def test_a_family_without_a_pll():
    with pytest.raises(HoldfastError, match="the PLL of the xcup family cannot make 100 MHz"):
        FAMILIES["xcup"].dividers(100, 100)


def test_cells_count_as_what_they_take():
    """Half a multiplier more is a whole one; unknown cells count as nothing."""
    cells = Cells({"A": 1, "B": 2.0}, ("F", "G"), {"M": 0.5}, {"R": 1, "S": 0.5})
    found = cells.cost({"A": 3, "B": 2, "F": 5, "G": 1, "M": 3, "R": 1, "S": 1, "IO": 9})
    assert found == Cost(lut=7, ff=6, dsp=2, mem=1.5)
