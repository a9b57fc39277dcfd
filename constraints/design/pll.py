"""The clock: how a family's PLL makes the core clock from the oscillator.

setting = find_setting("ecp5", 25, 80)   # dividers; exact, or HoldfastError
m.submodules.pll = pll = Pll(board)      # pll.clock, pll.locked
"""

from dataclasses import dataclass
from fractions import Fraction

from amaranth.hdl import Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from holdfast.base.errors import HoldfastError
from holdfast.constraints.boards import Board

__all__ = ["Pll", "Setting", "find_setting"]


@dataclass(frozen=True)
class Setting:
    """Dividers: of the input, in the loop, and between oscillator and output."""

    divide: int
    multiply: int
    post: int


@dataclass(frozen=True)
class _Limits:
    """MHz of the phase detector and of the oscillator, ranges of the dividers.

    ``inner``: the loop counts periods of the oscillator, not of the output.
    """

    detector: tuple[float, float]
    oscillator: tuple[float, float]
    divide: range
    multiply: range
    post: tuple[int, ...]
    inner: bool


# Of the data sheets: Lattice FPGA-DS-02012 (ECP5) and FPGA-DS-02008 (iCE40 UltraPlus), Gowin DS226
# (GW2AR), AMD DS181 (Artix-7, speed grade 1).
_LIMITS = {
    "ecp5": _Limits(
        (3.125, 400), (400, 800), range(1, 129), range(1, 81), tuple(range(1, 129)), False
    ),
    "ice40": _Limits(
        (10, 133), (533, 1066), range(1, 17), range(1, 129), (1, 2, 4, 8, 16, 32, 64), True
    ),
    "gowin": _Limits(
        (3, 500), (500, 1250), range(1, 65), range(1, 65), (2, 4, 8, *range(16, 129, 16)), False
    ),
    "xc7": _Limits((19, 450), (800, 1600), range(1, 57), range(2, 65), tuple(range(1, 129)), True),
}


def find_setting(family: str, input_mhz: float, output_mhz: float) -> Setting:
    """Dividers for exactly `output_mhz`, with the highest phase detector frequency.

    Raises
    ------
    HoldfastError
        There are none.
    """
    limits = _LIMITS[family]
    for divide in limits.divide:
        detector = Fraction(input_mhz) / divide
        if not limits.detector[0] <= detector <= limits.detector[1]:
            continue
        for post in limits.post:
            oscillator = Fraction(output_mhz) * post
            multiply = (oscillator if limits.inner else Fraction(output_mhz)) / detector
            fits = limits.oscillator[0] <= oscillator <= limits.oscillator[1]
            if fits and multiply.denominator == 1 and multiply in limits.multiply:
                return Setting(divide, int(multiply), post)
    raise HoldfastError(
        f"the PLL of the {family} family cannot make {output_mhz:g} MHz of {input_mhz:g} MHz."
    )


class Pll(wiring.Component):
    """The PLL of a board.

    Members
    -------
    source
        The oscillator.
    clock
        The core clock.
    double
        Twice the core clock, its edges on every edge of it; only on the iCE40, else constant.
    locked
        Both are stable.
    """

    def __init__(self, board: Board):
        self._board = board
        super().__init__({"source": In(1), "clock": Out(1), "double": Out(1), "locked": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.primitive = getattr(self, f"_{self._board.family}")()
        return m

    def _setting(self) -> Setting:
        board = self._board
        return find_setting(board.family, board.clock_mhz, board.core_mhz)

    def _ecp5(self) -> Instance:
        setting = self._setting()
        return Instance(
            "EHXPLLL",
            p_CLKI_DIV=setting.divide, p_CLKFB_DIV=setting.multiply, p_CLKOP_DIV=setting.post,
            p_CLKOP_CPHASE=setting.post // 2, p_CLKOP_FPHASE=0, p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED", p_PLLRST_ENA="DISABLED", p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED", p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA", p_OUTDIVIDER_MUXB="DIVB",
            p_OUTDIVIDER_MUXC="DIVC", p_OUTDIVIDER_MUXD="DIVD",
            a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            i_CLKI=self.source, i_CLKFB=self.clock, i_RST=0, i_STDBY=0,
            i_PHASESEL0=0, i_PHASESEL1=0, i_PHASEDIR=1, i_PHASESTEP=1, i_PHASELOADREG=1,
            i_PLLWAKESYNC=0, i_ENCLKOP=0,
            o_CLKOP=self.clock, o_LOCK=self.locked,
        )  # fmt: skip

    def _ice40(self) -> Instance:
        board = self._board
        setting = find_setting("ice40", board.clock_mhz, 2 * board.core_mhz)
        return Instance(
            "SB_PLL40_2F_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(setting.divide - 1, 4), p_DIVF=Const(setting.multiply - 1, 7),
            p_DIVQ=Const(setting.post.bit_length() - 1, 3),
            p_FILTER_RANGE=Const(_ice40_filter(board.clock_mhz / setting.divide), 3),
            p_PLLOUT_SELECT_PORTA="GENCLK", p_PLLOUT_SELECT_PORTB="GENCLK_HALF",
            i_PACKAGEPIN=self.source, i_RESETB=1, i_BYPASS=0,
            o_PLLOUTGLOBALA=self.double, o_PLLOUTGLOBALB=self.clock, o_LOCK=self.locked,
        )  # fmt: skip

    def _gowin(self) -> Instance:
        board, setting = self._board, self._setting()
        return Instance(
            "rPLL",
            p_DEVICE=board.tools[0], p_FCLKIN=f"{board.clock_mhz:g}",
            p_IDIV_SEL=setting.divide - 1, p_FBDIV_SEL=setting.multiply - 1,
            p_ODIV_SEL=setting.post, p_DYN_IDIV_SEL="false", p_DYN_FBDIV_SEL="false",
            p_DYN_ODIV_SEL="false", p_DYN_DA_EN="false", p_PSDA_SEL="0000", p_DUTYDA_SEL="1000",
            p_CLKFB_SEL="internal", p_CLKOUT_BYPASS="false", p_CLKOUTP_BYPASS="false",
            p_CLKOUTD_BYPASS="false", p_CLKOUTD_SRC="CLKOUT", p_CLKOUTD3_SRC="CLKOUT",
            p_DYN_SDIV_SEL=2, p_CLKOUT_FT_DIR=1, p_CLKOUTP_FT_DIR=1,
            p_CLKOUT_DLY_STEP=0, p_CLKOUTP_DLY_STEP=0,
            i_CLKIN=self.source, i_CLKFB=0, i_RESET=0, i_RESET_P=0,
            i_FBDSEL=Const(0, 6), i_IDSEL=Const(0, 6), i_ODSEL=Const(0, 6),
            i_PSDA=Const(0, 4), i_DUTYDA=Const(0, 4), i_FDLY=Const(0, 4),
            o_CLKOUT=self.clock, o_LOCK=self.locked,
        )  # fmt: skip

    def _xc7(self) -> Module:
        m = Module()
        board, setting = self._board, self._setting()
        feedback, unbuffered = Signal(), Signal()
        m.submodules.pll = Instance(
            "PLLE2_BASE",
            p_CLKIN1_PERIOD=1000 / board.clock_mhz, p_DIVCLK_DIVIDE=setting.divide,
            p_CLKFBOUT_MULT=setting.multiply, p_CLKOUT0_DIVIDE=setting.post,
            i_CLKIN1=self.source, i_CLKFBIN=feedback, i_RST=0, i_PWRDWN=0,
            o_CLKFBOUT=feedback, o_CLKOUT0=unbuffered, o_LOCKED=self.locked,
        )  # fmt: skip
        m.submodules.buffer = Instance("BUFG", i_I=unbuffered, o_O=self.clock)
        return m


def _ice40_filter(detector_mhz: float) -> int:
    """FILTER_RANGE, as icepll chooses it."""
    for value, bound in ((1, 17), (2, 26), (3, 44), (4, 66), (5, 101)):
        if detector_mhz < bound:
            return value
    return 6
