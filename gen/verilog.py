"""RTLIL and Verilog of a component."""

import re

from amaranth.back import rtlil, verilog

from .accelerator import Accelerator
from .config import AcceleratorConfig
from .uart_bridge import UartBridge

__all__ = ["REFERENCES", "emit", "to_rtlil"]

REFERENCES = {
    "holdfast_8x8": AcceleratorConfig(guard=False),
    "holdfast_8x8_guard": AcceleratorConfig(),
}
"""Configurations released in ``rtl/``, by module name."""

_MEMORY_OF_ZEROS = re.compile(
    r"^  (?:attribute [^\n]*\n  )*cell \$meminit_v2 [^\n]*\n"
    r"(?:    [^\n]*\n)*?    connect \\DATA \d+'0+\n"
    r"(?:    [^\n]*\n)*?  end\n",
    re.MULTILINE,
)


def to_rtlil(component: object, name: str, platform: object = None) -> str:
    """RTLIL of a component, without the zeros that Amaranth writes into every memory word."""
    return _MEMORY_OF_ZEROS.sub("", rtlil.convert(component, name, platform, emit_src=False))


def emit(config: AcceleratorConfig, name: str, uart: int | None = None) -> str:
    """Hierarchical Verilog with top module ``name``; the same text for the same configuration.

    Parameters
    ----------
    uart : int or None
        A serial port with this divisor instead of AXI.
    """
    port = None if uart is None else UartBridge(uart, max(1 << 23, 20 * uart))
    text = to_rtlil(Accelerator(config, port), name)
    return verilog._convert_rtlil_text(text, strip_internal_attrs=True)
