"""Verilog of an accelerator."""

from amaranth.back import verilog

from .accelerator import Accelerator
from .config import AcceleratorConfig

__all__ = ["REFERENCES", "emit"]

REFERENCES = {
    "holdfast_8x8": AcceleratorConfig(guard=False),
    "holdfast_8x8_guard": AcceleratorConfig(),
}
"""Configurations released in ``rtl/``, by module name."""


def emit(config: AcceleratorConfig, name: str) -> str:
    """Hierarchical Verilog with top module ``name``; the same text for the same configuration."""
    return verilog.convert(Accelerator(config), name=name, strip_internal_attrs=True)
