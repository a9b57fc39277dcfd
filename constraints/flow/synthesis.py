"""Says what a design costs on an FPGA family: synthesized, not placed, and counted by unit.

    found = synthesize(emit(config, "core"), "core", "ecp5", Path("build/synthesis"))
    found.total.lut, found.units["array.pe"].dsp, found.multiplying["array.pe"]

Synthesis runs twice: flat, which is what a bitstream is made from and gives the total, and, if
asked for, with the hierarchy kept, which says what each unit costs. The sum of the units is above
the total: nothing is shared or simplified across their borders, and the mapping is a simpler one.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.constraints.families.base import Cost
from holdfast.constraints.families.registry import named_family

from .yosys import run_script


@dataclass(frozen=True)
class Synthesis:
    """Says what a synthesized design costs.

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
    """Synthesizes a design.

    Parameters
    ----------
    verilog : str
        As from `gen.verilog.emit`.
    family : str
        A key of `constraints.families.registry.FAMILIES`.
    folder : Path
        For scripts, logs and statistics.
    hierarchy : bool
        Also count by unit.

    Raises
    ------
    HoldfastError
        An unknown family, or synthesis failed.
    """
    known = named_family(family)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "design.v").write_text(verilog, encoding="utf-8")
    cells = _modules(folder, f"{known.flat} -top {top}")[top]
    total = known.cells.cost(cells)
    if not hierarchy:
        return Synthesis(family, total, dict(cells))
    parts: dict[str, Counter[str]] = {}
    multiplying: Counter[str] = Counter()
    # Every instance has a module of its own, called by its path.
    kept = f"{known.hierarchical} -top {top}; {known.mapping}"
    for name, found in _modules(folder, kept).items():
        unit = re.sub(r"(?:_\d+)+(?=\.|$)", "", name.removeprefix(top).lstrip("."))
        parts.setdefault(unit, Counter()).update(found)
        multiplying[unit] += any(found[cell] for cell in known.cells.dsp)
    units = {unit: known.cells.cost(part) for unit, part in sorted(parts.items())}
    units = {unit: cost for unit, cost in units.items() if cost != Cost()}
    return Synthesis(family, total, dict(cells), units, dict(+multiplying))


def _modules(folder: Path, commands: str) -> dict[str, Counter[str]]:
    """Cells by type of each module after synthesis, by the module's Verilog name."""
    statistics = folder / "statistics.json"
    statistics.unlink(missing_ok=True)
    lines = ["read_verilog design.v", *commands.split("; ")]
    lines.append(f"tee -q -o {statistics.name} stat -json")
    script = "".join(f"{line}\n" for line in lines)
    run_script(folder, script)
    modules: dict[str, Any] = json.loads(statistics.read_text(encoding="utf-8"))["modules"]
    return {
        name.removeprefix("\\"): Counter(found["num_cells_by_type"])
        for name, found in modules.items()
    }
