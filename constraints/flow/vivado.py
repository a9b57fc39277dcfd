"""Vivado projects: what edalize writes, the pins, and a block design beside a processing system.

write_project(find_board("pynq_z2"), config, Path("build/bitstream/pynq_z2"))
"""

import contextlib
import io
import shutil
from pathlib import Path

from edalize.flows.vivado import Vivado

from holdfast.base.errors import HoldfastError
from holdfast.base.files import write_atomically
from holdfast.base.processes import run_tool
from holdfast.constraints.boards import Board
from holdfast.constraints.design.top import TOP, board_verilog
from holdfast.constraints.families.registry import FAMILIES
from holdfast.constraints.families.xilinx import Processor, XilinxFamily
from holdfast.constraints.zynq import network_file, registers_file
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import ADDRESS_BITS
from holdfast.gen.port.axi import AXI_MEMBERS
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.graph.shipped import load_network, shipped

_WRAPPER = "holdfast_axi"
_DESIGN = "system"


def _processor(board: Board) -> Processor:
    family = FAMILIES[board.family]
    assert isinstance(family, XilinxFamily), board.family
    return family.processor(board.core_mhz)


def axi_wrapper(board: Board) -> str:
    """Returns Verilog around the top level that tells Vivado clock, reset, bus and interrupt."""
    ports = [
        '    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 aclk CLK" *)',
        '    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF s_axi, ASSOCIATED_RESET aresetn" *)',
        "    input wire aclk,",
        '    (* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 aresetn RST" *)',
        '    (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)',
        "    input wire aresetn,",
        '    (* X_INTERFACE_INFO = "xilinx.com:signal:interrupt:1.0 interrupt INTERRUPT" *)',
        '    (* X_INTERFACE_PARAMETER = "SENSITIVITY LEVEL_HIGH" *)',
        "    output wire interrupt,",
        f"    output wire [{board.leds - 1}:0] leds,",
    ]
    for name, member in AXI_MEMBERS.items():
        kind = "input" if member.flow.name == "In" else "output"
        width = member.shape if isinstance(member.shape, int) else len(member.shape)
        span = f"[{width - 1}:0] " if width > 1 else ""
        channel = name.removeprefix("s_axi_").upper()
        ports += [
            f'    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi {channel}" *)',
            f"    {kind} wire {span}{name},",
        ]
    ports[-1] = ports[-1].rstrip(",")
    names = ["interrupt", "leds", *AXI_MEMBERS]
    connections = [".clk(aclk)", ".rst(~aresetn)", *(f".{name}({name})" for name in names)]
    return "\n".join(
        [
            f"module {_WRAPPER} (",
            *ports,
            ");",
            f"  {TOP} top (",
            ",\n".join(f"    {connection}" for connection in connections),
            "  );",
            "endmodule",
            "",
        ]
    )


def block_design(board: Board) -> str:
    """Returns Tcl for a block design: the accelerator behind the processing system's first port."""
    system = _processor(board)
    settings = " ".join(f"CONFIG.{name} {{{value}}}" for name, value in system.settings)
    lines = [
        "# Written by Holdfast.",
        f"create_bd_design {_DESIGN}",
        f"set ps [create_bd_cell -type ip -vlnv {system.ip} ps]",
        *([system.automation] if system.automation else []),
        f"set_property -dict [list {settings}] $ps",
        f"set core [create_bd_cell -type module -reference {_WRAPPER} core]",
        "set bus [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect:1.0 bus]",
        "set_property -dict [list CONFIG.NUM_SI {1} CONFIG.NUM_MI {1}] $bus",
        "set rst [create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset:5.0 rst]",
        f"connect_bd_net [get_bd_pins ps/{system.clock}] [get_bd_pins ps/{system.bus_clock}] "
        "[get_bd_pins bus/aclk] [get_bd_pins rst/slowest_sync_clk] [get_bd_pins core/aclk]",
        f"connect_bd_net [get_bd_pins ps/{system.reset}] [get_bd_pins rst/ext_reset_in]",
        "connect_bd_net [get_bd_pins rst/peripheral_aresetn] [get_bd_pins bus/aresetn] "
        "[get_bd_pins core/aresetn]",
        f"connect_bd_intf_net [get_bd_intf_pins ps/{system.bus}] [get_bd_intf_pins bus/S00_AXI]",
        "connect_bd_intf_net [get_bd_intf_pins bus/M00_AXI] [get_bd_intf_pins core/s_axi]",
        f"connect_bd_net [get_bd_pins core/interrupt] [get_bd_pins ps/{system.interrupt}]",
        f"create_bd_port -dir O -from {board.leds - 1} -to 0 leds",
        "connect_bd_net [get_bd_pins core/leds] [get_bd_ports leds]",
        f"assign_bd_address -offset 0x{system.base:08X} -range {1 << ADDRESS_BITS - 20}M "
        "[get_bd_addr_segs core/s_axi/reg0]",
        "validate_bd_design",
        "save_bd_design",
        f"make_wrapper -files [get_files {_DESIGN}.bd] -top -import",
    ]
    return "\n".join(lines) + "\n"


def project_command(board: Board, folder: Path) -> str:
    """Returns the command that makes the bitstream of a project in `folder`."""
    return f"make -C {folder} holdfast_{board.name}.bit"


def write_project(board: Board, config: AcceleratorConfig, folder: Path) -> None:
    """Writes a complete Vivado project."""
    files = [{"name": "design.v", "file_type": "verilogSource"}]
    write_atomically(folder / "design.v", board_verilog(board, config).encode())
    write_atomically(folder / "config.toml", config.to_toml().encode())
    top = TOP
    if board.transport == "axi":
        write_atomically(folder / "wrapper.v", axi_wrapper(board).encode())
        write_atomically(folder / "system.tcl", block_design(board).encode())
        base = _processor(board).base
        registers = registers_file(config, base, board.core_mhz)
        write_atomically(folder / "registers.json", registers)
        shutil.copyfile(Path(__file__).parents[1] / "zynq_driver.py", folder / "zynq_driver.py")
        for network in shipped():
            with contextlib.suppress(HoldfastError):
                program = compile_graph(load_network(network), config)
                write_atomically(folder / f"{network}.npz", network_file(program))
        files.append({"name": "wrapper.v", "file_type": "verilogSource"})
        files.append({"name": "system.tcl", "file_type": "tclSource"})
        top = f"{_DESIGN}_wrapper"
    shutil.copyfile(board.pin_file, folder / board.pin_file.name)
    files.append({"name": board.pin_file.name, "file_type": "xdc"})
    edam = {
        "name": f"holdfast_{board.name}",
        "files": files,
        "toplevel": top,
        "flow_options": {"part": board.part},
    }
    with contextlib.redirect_stdout(io.StringIO()):
        Vivado(edam, folder).configure()


def run_project(command: str) -> None:
    """Run Vivado where it is installed.

    Raises
    ------
    HoldfastError
        It failed.
    """
    if run_tool(command.split(), capture=False).returncode:
        raise HoldfastError(f"Vivado failed: `{command}`; its messages are above.")
