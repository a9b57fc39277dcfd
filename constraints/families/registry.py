"""The FPGA families by name.

family = FAMILIES["ecp5"]
"""

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown

from .base import Family
from .ecp5 import Ecp5
from .gowin import Gowin
from .ice40 import Ice40
from .nextpnr import NextpnrFamily
from .series7 import Series7
from .ultrascale_plus import UltraScalePlus

FAMILIES: dict[str, Family] = {
    family.name: family for family in (Ecp5(), Series7(), UltraScalePlus(), Ice40(), Gowin())
}
"""Every family; a new one is a file beside this and a name here."""


def named_family(name: str) -> Family:
    """Returns a family by its name.

    Raises
    ------
    HoldfastError
        There is none.
    """
    if name not in FAMILIES:
        raise HoldfastError(f"unknown FPGA family {shown(name)}; known are {', '.join(FAMILIES)}.")
    return FAMILIES[name]


def nextpnr_family(name: str) -> NextpnrFamily:
    """Returns a family that nextpnr places."""
    family = FAMILIES[name]
    assert isinstance(family, NextpnrFamily), name
    return family
