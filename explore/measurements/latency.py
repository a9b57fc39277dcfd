"""Clock cycles of an inference, and the clock that a placed accelerator reached."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from holdfast.base.errors import HoldfastError
from holdfast.base.files import read_json
from holdfast.constraints.speed import program_cycles
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph

from .base import Measured
from .networks import load


@dataclass(frozen=True)
class LatencyMeasurement(Measured):
    """Measures a network on a configuration."""

    network: Path
    config: AcceleratorConfig

    kind: ClassVar[str] = "latency"

    def run(self) -> dict[str, Any]:
        """``cycles`` of one image without waiting for the host, and whether all weights are
        ``resident`` on chip.

        Raises
        ------
        HoldfastError
            The accelerator cannot hold the network.
        """
        program = compile_graph(load(self.network), self.config, parts=True)
        return {"cycles": program_cycles(program), "resident": program.resident}


def placed_clocks(folder: Path, config: AcceleratorConfig) -> dict[str, float]:
    """MHz by board, of every board on which this configuration was placed.

    Parameters
    ----------
    folder : Path
        Where ``holdfast bitstream`` writes, by default ``build/bitstream``.
    """
    clocks = {}
    for path in sorted(folder.glob("*/summary.json")):
        try:
            summary = read_json(path, "summary")
            if summary["config"] == config.values and summary["fmax_mhz"]:
                clocks[summary["board"]] = float(summary["fmax_mhz"])
        except (HoldfastError, ValueError, KeyError, TypeError, OverflowError):
            # A build under way, or of another version: as good as not placed.
            continue
    return clocks
