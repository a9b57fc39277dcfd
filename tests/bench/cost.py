"""Post-synthesis cost of accelerators on FPGA families, whole and by unit."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from holdfast.constraints.flow.synthesis import synthesize
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.verilog import emit

_SMALL = AcceleratorConfig(
    rows=4, cols=1, act_depth=1024, weight_depth=1024, acc_depth=256, param_depth=64,
    multiplier_bits=8, program_depth=16, guard=False,
)  # fmt: skip
"""Fits the iCE40 UltraPlus: 5,280 look-up tables, 8 multipliers, 30 memories of 4 kbit."""

COSTS = {
    ("ecp5", "8x8"): AcceleratorConfig(rows=8, cols=8),
    ("ecp5", "16x8"): AcceleratorConfig(rows=16, cols=8),
    ("xc7", "8x8"): AcceleratorConfig(rows=8, cols=8),
    ("xcup", "8x8"): AcceleratorConfig(rows=8, cols=8),
    ("xcup", "16x16"): AcceleratorConfig(rows=16, cols=16),
    ("ice40", "4x1"): _SMALL,
}


def measure(family: str, size: str, folder: Path) -> dict[str, Any]:
    """An entry of the JSON.

    ``array_multipliers``: processing elements whose product is in a multiplier block.
    """
    config = COSTS[family, size]
    name = f"holdfast_{size}"
    found = synthesize(emit(config, name), name, family, folder / f"{family}_{size}", True)
    return {
        **asdict(found.total),
        "lut_per_mac": round(found.total.lut / (config.rows * config.cols), 1),
        "array_multipliers": found.multiplying.get("array.pe", 0),
        "processing_elements": config.rows * config.cols,
        "by_unit": {unit or "top": asdict(cost) for unit, cost in found.units.items()},
        "cells": found.cells,
        "config": config.values,
    }
