"""What a design costs on an FPGA family: synthesized, not placed, and counted by unit.

    found = synthesize(emit(config, "core"), "core", "ecp5", Path("build/synthesis"))
    found.total.lut, found.units["array.pe"].dsp, found.multiplying["array.pe"]

Synthesis runs twice: flat, which is what a bitstream is made from and gives the total, and, if
asked for, with the hierarchy kept, which says what each unit costs. The sum of the units is above
the total: nothing is shared or simplified across their borders, and the mapping is a simpler one.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown

from .yosys_flow import YosysFlow

__all__ = ["FAMILIES", "Cost", "Synthesis", "count", "synthesize"]


@dataclass(frozen=True)
class _Family:
    """How Yosys targets a family, and what its cells cost.

    Attributes
    ----------
    flat, hierarchical : str
        Synthesis commands; with the hierarchy kept, up to the mapping to look-up tables.
    mapping : str
        That mapping: Yosys's own, abc9, fails on hierarchies.
    lut, ff, dsp, mem : dict of float
        By cell type: look-up tables, flip-flops, multiplier blocks, block memories.
    """

    flat: str
    hierarchical: str
    mapping: str
    lut: dict[str, float]
    ff: tuple[str, ...]
    dsp: dict[str, float]
    mem: dict[str, float]


_XILINX_LUT = {
    **{f"LUT{inputs}": 1.0 for inputs in range(1, 7)},
    "LUT6_2": 1, "SRL16E": 1, "SRLC32E": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4,
    "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4, "RAM32M": 4, "RAM64M": 4,
    "RAM32M16": 8, "RAM64M8": 8, "RAM64X8SW": 8,
}  # fmt: skip
_XILINX_MAPPING = (
    "opt_expr -mux_undef -noclkinv; abc -luts 2:2,3,6:5,10,20; clean; "
    "xilinx_srl -fixed -minlen 3; "
    "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6; "
    "xilinx_dffopt; opt_lut_ins -tech xilinx; clean"
)
_XILINX_FF = ("FDRE", "FDSE", "FDCE", "FDPE")

FAMILIES = {
    # A carry cell takes two look-up tables, a distributed memory of 16 x 4 bits four.
    "ecp5": _Family(
        "synth_ecp5",
        "synth_ecp5 -noflatten -run begin:map_luts",
        "abc -luts 2:3,6:5,10,20; clean; techmap -map +/lattice/cells_map_trellis.v; "
        "opt_lut_ins -tech lattice; clean",
        {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4},
        ("TRELLIS_FF",),
        {"MULT18X18D": 1},
        {"DP16KD": 1},
    ),
    "xc7": _Family(
        "synth_xilinx -family xc7 -flatten",
        "synth_xilinx -family xc7 -run begin:map_luts",
        _XILINX_MAPPING,
        _XILINX_LUT,
        _XILINX_FF,
        {"DSP48E1": 1},
        {"RAMB36E1": 1, "RAMB18E1": 0.5},
    ),
    "xcup": _Family(
        "synth_xilinx -family xcup -flatten",
        "synth_xilinx -family xcup -run begin:map_luts",
        _XILINX_MAPPING,
        _XILINX_LUT,
        _XILINX_FF,
        {"DSP48E2": 1},
        {"RAMB36E2": 1, "RAMB18E2": 0.5},
    ),
    "ice40": _Family(
        "synth_ice40 -device u -dsp -spram",
        "synth_ice40 -device u -dsp -spram -noflatten -run begin:map_luts",
        "abc -lut 4; ice40_wrapcarry -unwrap; techmap -map +/ice40/ff_map.v; clean; "
        "opt_lut -tech ice40; techmap -map +/ice40/cells_map.v; clean",
        {"SB_LUT4": 1},
        tuple(
            f"SB_DFF{edge}{enable}{reset}"
            for edge in ("", "N")
            for enable in ("", "E")
            for reset in ("", "R", "S", "SR", "SS")
        ),
        {"SB_MAC16": 1},
        {"SB_RAM40_4K": 1, "SB_SPRAM256KA": 64},
    ),
    # Multipliers of 18 x 18 bits; a memory of 16 x 4 bits takes four look-up tables.
    "gowin": _Family(
        "synth_gowin -family gw2a -nowidelut",
        "synth_gowin -family gw2a -noflatten -run begin:map_luts",
        "abc -luts 4; clean; techmap -map +/gowin/cells_map.v; opt_lut_ins -tech gowin; clean",
        {"LUT1": 1, "LUT2": 1, "LUT3": 1, "LUT4": 1, "ALU": 1, "RAM16SDP4": 4},
        tuple(f"DFF{kind}{enable}" for kind in ("", "S", "R", "P", "C") for enable in ("", "E")),
        {"MULT9X9": 0.5, "MULT18X18": 1, "MULT36X36": 4},
        {"SDPB": 1, "SDPX9B": 1, "DPB": 1, "DPX9B": 1, "SP": 1, "SPX9": 1},
    ),
}
"""ECP5 (LUT4, memories of 18 kbit), 7-series (LUT6, 36 kbit), UltraScale+ (LUT6, 36 kbit), iCE40
UltraPlus (LUT4, 4 kbit), Gowin GW2A (LUT4, 18 kbit)."""


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
class Synthesis:
    """A synthesized design.

    Attributes
    ----------
    cells : dict of int
        Cells of the flat design by type.
    units : dict of Cost
        By unit, instance numbers left out: ``array.pe`` are all processing elements; ``""`` is the
        top level. Empty without the hierarchy.
    multiplying : dict of int
        By unit, instances with at least one multiplier block.
    """

    family: str
    total: Cost
    cells: dict[str, int]
    units: dict[str, Cost] = field(default_factory=dict)
    multiplying: dict[str, int] = field(default_factory=dict)


def synthesize(
    verilog: str, top: str, family: str, folder: Path, hierarchy: bool = False
) -> Synthesis:
    """Synthesize a design.

    Parameters
    ----------
    verilog : str
        As from `gen.verilog.emit`.
    family : str
        One of :data:`FAMILIES`.
    folder : Path
        For scripts, logs and statistics.
    hierarchy : bool
        Also count by unit.

    Raises
    ------
    HoldfastError
        An unknown family, or synthesis failed.
    """
    known = FAMILIES.get(family)
    if known is None:
        raise HoldfastError(
            f"unknown FPGA family {shown(family)}; known are {', '.join(FAMILIES)}."
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "design.v").write_text(verilog, encoding="utf-8")
    cells = _modules(folder, f"{known.flat} -top {top}")[top]
    total = count(cells, known)
    if not hierarchy:
        return Synthesis(family, total, dict(cells))
    parts: dict[str, Counter[str]] = {}
    multiplying: Counter[str] = Counter()
    # Every instance has a module of its own, called by its path.
    kept = f"{known.hierarchical} -top {top}; {known.mapping}"
    for name, found in _modules(folder, kept).items():
        unit = re.sub(r"(?:_\d+)+(?=\.|$)", "", name.removeprefix(top).lstrip("."))
        parts.setdefault(unit, Counter()).update(found)
        multiplying[unit] += any(found[cell] for cell in known.dsp)
    units = {unit: count(part, known) for unit, part in sorted(parts.items())}
    units = {unit: cost for unit, cost in units.items() if cost != Cost()}
    return Synthesis(family, total, dict(cells), units, dict(+multiplying))


def count(cells: Mapping[str, int], family: _Family) -> Cost:
    """Primitives among cells by type."""
    return Cost(
        lut=round(sum(number * family.lut.get(cell, 0) for cell, number in cells.items())),
        ff=sum(number for cell, number in cells.items() if cell in family.ff),
        dsp=math.ceil(sum(number * family.dsp.get(cell, 0) for cell, number in cells.items())),
        mem=sum(number * family.mem.get(cell, 0) for cell, number in cells.items()),
    )


def _modules(folder: Path, commands: str) -> dict[str, Counter[str]]:
    """Cells by type of each module after synthesis, by the module's Verilog name."""
    statistics = folder / "statistics.json"
    statistics.unlink(missing_ok=True)
    lines = ["read_verilog design.v", *commands.split("; ")]
    lines.append(f"tee -q -o {statistics.name} stat -json")
    script = "".join(f"{line}\n" for line in lines)
    YosysFlow.run_script(folder, "design.v", script, [statistics.name])
    modules: dict[str, Any] = json.loads(statistics.read_text(encoding="utf-8"))["modules"]
    return {
        name.removeprefix("\\"): Counter(found["num_cells_by_type"])
        for name, found in modules.items()
    }
