"""Says what an FPGA family is: how Yosys targets it, what its cells count as, and how its PLL is
set.

A family is one class in one file, listed in `registry`. Those with open tools derive from
`nextpnr.NextpnrFamily`, those that Vivado places from `xilinx.XilinxFamily`.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction

from holdfast.base.errors import HoldfastError


@dataclass(frozen=True)
class Cost:
    """Primitives of a design or unit.

    Attributes
    ----------
    lut : int
        Look-up tables of the family's size, those of carry chains and small memories among them.
    ff, dsp : int
        Flip-flops and multiplier blocks.
    mem : float
        Block memories.
    """

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    mem: float = 0.0


@dataclass(frozen=True)
class Cells:
    """Holds what each type of cell counts as: look-up tables, flip-flops, multipliers, memories."""

    lut: Mapping[str, float]
    ff: Collection[str]
    dsp: Mapping[str, float]
    mem: Mapping[str, float]

    def cost(self, cells: Mapping[str, int]) -> Cost:
        """Counts the primitives among cells by type."""
        return Cost(
            lut=round(sum(number * self.lut.get(cell, 0) for cell, number in cells.items())),
            ff=sum(number for cell, number in cells.items() if cell in self.ff),
            dsp=math.ceil(sum(number * self.dsp.get(cell, 0) for cell, number in cells.items())),
            mem=sum(number * self.mem.get(cell, 0) for cell, number in cells.items()),
        )


@dataclass(frozen=True)
class Dividers:
    """Dividers of a PLL: of the input, in the loop, and between oscillator and output."""

    divide: int
    multiply: int
    post: int


@dataclass(frozen=True)
class PllLimits:
    """Bounds a PLL: MHz of the phase detector and of the oscillator, ranges of the dividers.

    ``inner``: the loop counts periods of the oscillator, not of the output.
    """

    detector: tuple[float, float]
    oscillator: tuple[float, float]
    divide: range
    multiply: range
    post: tuple[int, ...]
    inner: bool

    def dividers(self, input_mhz: Fraction, output_mhz: Fraction) -> Dividers | None:
        """Finds dividers for exactly `output_mhz`, with the highest phase detector frequency."""
        for divide in self.divide:
            detector = input_mhz / divide
            if not self.detector[0] <= detector <= self.detector[1]:
                continue
            for post in self.post:
                oscillator = output_mhz * post
                multiply = (oscillator if self.inner else output_mhz) / detector
                fits = self.oscillator[0] <= oscillator <= self.oscillator[1]
                if fits and multiply.denominator == 1 and multiply in self.multiply:
                    return Dividers(divide, int(multiply), post)
        return None


class Family:
    """Describes an FPGA family.

    Attributes
    ----------
    name : str
        As studies and the boards' files call it.
    flat, hierarchical : str
        Yosys's synthesis commands; with the hierarchy kept, up to the mapping to look-up tables.
    mapping : str
        That mapping: Yosys's own, abc9, fails on hierarchies.
    cells : Cells
    limits : PllLimits or None
        Of its PLL; None: its boards have their clock from a processing system.
    memories : object or None
        The platform that `gen.units.memory` asks for the lanes of its memories.
    """

    name: str
    flat: str
    hierarchical: str
    mapping: str
    cells: Cells
    limits: PllLimits | None = None
    memories: object | None = None

    def dividers(self, input_mhz: float, output_mhz: float) -> Dividers:
        """Finds dividers for exactly `output_mhz`, with the highest phase detector frequency.

        Raises
        ------
        HoldfastError
            There are none.
        """
        found = self.limits and self.limits.dividers(Fraction(input_mhz), Fraction(output_mhz))
        if found:
            return found
        raise HoldfastError(
            f"the PLL of the {self.name} family cannot make {output_mhz:g} MHz of "
            f"{input_mhz:g} MHz."
        )

    def pll(self, board, ports):
        """Makes the PLL of a board: an Amaranth module between the ports of `design.pll.Pll`."""
        raise NotImplementedError
