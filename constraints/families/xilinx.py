"""Says what AMD's families have in common: LUT6, memories of 36 kbit, and Vivado places them."""

from dataclasses import dataclass

from .base import Family

LUT = {
    **{f"LUT{inputs}": 1.0 for inputs in range(1, 7)},
    "LUT6_2": 1, "SRL16E": 1, "SRLC32E": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4,
    "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4, "RAM32M": 4, "RAM64M": 4,
    "RAM32M16": 8, "RAM64M8": 8, "RAM64X8SW": 8,
}  # fmt: skip
FF = ("FDRE", "FDSE", "FDCE", "FDPE")


@dataclass(frozen=True)
class Processor:
    """Describes a processing system in a block design."""

    ip: str
    bus: str
    bus_clock: str
    clock: str
    reset: str
    interrupt: str
    base: int
    automation: str
    settings: tuple[tuple[str, str], ...]


class XilinxFamily(Family):
    """Writes projects for a family that Vivado places."""

    mapping = (
        "opt_expr -mux_undef -noclkinv; abc -luts 2:2,3,6:5,10,20; clean; "
        "xilinx_srl -fixed -minlen 3; "
        "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6; "
        "xilinx_dffopt; opt_lut_ins -tech xilinx; clean"
    )

    def processor(self, mhz: float) -> Processor:
        """Returns its processing system, with a clock of so many MHz for the logic."""
        raise NotImplementedError
