"""AMD 7-series."""

from amaranth.hdl import Instance, Module, Signal

from .base import Cells, PllLimits
from .xilinx import FF, LUT, Processor, XilinxFamily


class Series7(XilinxFamily):
    """7-series: Artix-7, Zynq-7000."""

    name = "xc7"
    flat = "synth_xilinx -family xc7 -flatten"
    hierarchical = "synth_xilinx -family xc7 -run begin:map_luts"
    cells = Cells(LUT, FF, {"DSP48E1": 1}, {"RAMB36E1": 1, "RAMB18E1": 0.5})
    # DS181, Artix-7 of speed grade 1.
    limits = PllLimits(
        (19, 450), (800, 1600), range(1, 57), range(2, 65), tuple(range(1, 129)), True
    )

    def pll(self, board, ports):
        m = Module()
        found = self.dividers(board.clock_mhz, board.core_mhz)
        feedback, unbuffered = Signal(), Signal()
        m.submodules.pll = Instance(
            "PLLE2_BASE",
            p_CLKIN1_PERIOD=1000 / board.clock_mhz, p_DIVCLK_DIVIDE=found.divide,
            p_CLKFBOUT_MULT=found.multiply, p_CLKOUT0_DIVIDE=found.post,
            i_CLKIN1=ports.source, i_CLKFBIN=feedback, i_RST=0, i_PWRDWN=0,
            o_CLKFBOUT=feedback, o_CLKOUT0=unbuffered, o_LOCKED=ports.locked,
        )  # fmt: skip
        m.submodules.buffer = Instance("BUFG", i_I=unbuffered, o_O=ports.clock)
        return m

    def processor(self, mhz):
        return Processor(
            "xilinx.com:ip:processing_system7:5.5", "M_AXI_GP0", "M_AXI_GP0_ACLK", "FCLK_CLK0",
            "FCLK_RESET0_N", "IRQ_F2P", 0x4000_0000,
            "apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 "
            '-config {make_external "FIXED_IO, DDR" apply_board_preset "0"} $ps',
            (
                ("PCW_USE_M_AXI_GP0", "1"),
                ("PCW_USE_FABRIC_INTERRUPT", "1"),
                ("PCW_IRQ_F2P_INTR", "1"),
                ("PCW_FPGA0_PERIPHERAL_FREQMHZ", f"{mhz:g}"),
            ),
        )  # fmt: skip
