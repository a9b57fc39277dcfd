"""RTLIL and Verilog of a component."""

import re
from unittest.mock import patch

from amaranth.back import rtlil, verilog

from holdfast.base.errors import HoldfastError
from holdfast.base.text import shown
from holdfast.gen.port.uart_bridge import UartBridge

from .accelerator import Accelerator
from .config import AcceleratorConfig
from .keywords import SYSTEM_VERILOG_KEYWORDS

_LONGEST_NAME = 100

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

# Yosys reads this register in every `always @*`, so that its event at time 0 starts them all.
_FIRST_EVENT = re.compile(
    r"^  reg (\\\$auto\$verilog_backend\S+)  = 0;$(.*?)^endmodule$", re.MULTILINE | re.DOTALL
)


class _Emitter(rtlil.ModuleEmitter):
    """Writes one word for all of a memory of zeros: Amaranth takes seconds for every bit of all."""

    def emit_memory(self, cell_idx, cell):
        if not any(cell.init):
            cell.init = cell.init[:1]
        super().emit_memory(cell_idx, cell)


def to_rtlil(component: object, name: str, platform: object = None) -> str:
    """Returns a component's RTLIL, without the zeros that Amaranth writes into memory words."""
    with patch.object(rtlil, "ModuleEmitter", _Emitter):
        text = rtlil.convert(component, name, platform, emit_src=False)
    return _MEMORY_OF_ZEROS.sub("", text)


def check_name(name: str) -> None:
    """HoldfastError if no module can have this name."""
    if len(name) > _LONGEST_NAME or re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) is None:
        raise HoldfastError(
            f"a module's name is a Verilog identifier of 1 to {_LONGEST_NAME} characters, "
            f"not {shown(name)}."
        )
    if name in SYSTEM_VERILOG_KEYWORDS:
        raise HoldfastError(f"no module can be called {name}: it is a keyword of Verilog.")


def emit(
    config: AcceleratorConfig, name: str, uart: int | None = None, checksum: bool = False
) -> str:
    """Returns hierarchical Verilog with top module ``name``; the same text for the same
    configuration.

    Parameters
    ----------
    uart : int or None
        A serial port with this divisor instead of AXI.
    checksum : bool
        Whether the serial port knows commands with a checksum.

    Raises
    ------
    HoldfastError
        The name cannot be a module's, or something inside has it.
    """
    check_name(name)
    port = None if uart is None else UartBridge(uart, max(1 << 23, 20 * uart), checksum)
    text = to_rtlil(Accelerator(config, port), name)
    result = verilog._convert_rtlil_text(text, strip_internal_attrs=True)
    # In SystemVerilog a value in the declaration is no event, and what reads constants stays X.
    result = _FIRST_EVENT.sub(r"  reg \1 ;\2  initial \1 = 0;\nendmodule", result)
    if re.search(rf"^ +(?!module )[^\n]*(?<![\\.\w]){name}(?![.\w])", result, re.MULTILINE):
        raise HoldfastError(f"no module can be called {name}: something inside has this name.")
    return result
