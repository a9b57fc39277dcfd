"""AMD UltraScale+."""

from .base import Cells
from .xilinx import FF, LUT, Processor, XilinxFamily


class UltraScalePlus(XilinxFamily):
    """UltraScale+: Zynq UltraScale+."""

    name = "xcup"
    flat = "synth_xilinx -family xcup -flatten"
    hierarchical = "synth_xilinx -family xcup -run begin:map_luts"
    cells = Cells(LUT, FF, {"DSP48E2": 1}, {"RAMB36E2": 1, "RAMB18E2": 0.5})

    def processor(self, mhz):
        return Processor(
            "xilinx.com:ip:zynq_ultra_ps_e:3.5", "M_AXI_HPM0_FPD", "maxihpm0_fpd_aclk", "pl_clk0",
            "pl_resetn0", "pl_ps_irq0", 0xA000_0000, "",
            (
                ("PSU__USE__M_AXI_GP0", "1"),
                ("PSU__USE__M_AXI_GP1", "0"),
                ("PSU__USE__M_AXI_GP2", "0"),
                ("PSU__USE__IRQ0", "1"),
                ("PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ", f"{mhz:g}"),
            ),
        )  # fmt: skip
