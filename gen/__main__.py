"""Writes the released Verilog, header and reference, or one configuration's."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from holdfast.base import options
from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
from holdfast.base.files import make_folder, write_atomically
from holdfast.base.progress import tracked

from .configuration_file import read_configuration
from .documents import DOCUMENTS, c_header, reference
from .verilog import REFERENCES, check_name, emit

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(
    epilog="Examples: holdfast generate; "
    "holdfast generate --config my.toml --name my_core --output build/rtl; "
    "holdfast generate --config my.toml --uart 434 --output build/rtl"
)
def generate(
    config: Annotated[
        Path | None,
        options.path(
            "TOML file; without it, all reference configurations, holdfast.h and reference.md."
        ),
    ] = None,
    name: Annotated[
        str | None, options.text("Module name for --config (default holdfast).")
    ] = None,
    output: Annotated[
        Path | None,
        options.path("Folder to write all files to; default: rtl/, and docs/ for reference.md."),
    ] = None,
    uart: Annotated[
        int | None, options.whole(4, 1 << 20, "Serial port instead of AXI: clock cycles per bit.")
    ] = None,
    checksum: Annotated[
        bool, typer.Option("--checksum", help="The serial port knows commands with a checksum.")
    ] = False,
) -> None:
    """Write Verilog and the configuration it was made from."""
    for option, given in (("--name", name), ("--uart", uart)):
        if given is not None and config is None:
            raise HoldfastError(f"{option} needs --config.")
    module = "holdfast" if name is None else name
    check_name(module)
    wanted = {module: read_configuration(config)} if config else REFERENCES
    if checksum and uart is None:
        raise HoldfastError("--checksum needs --uart.")
    folder = output or Path("rtl")
    files = {}
    for module, values in tracked(wanted.items(), "Generating", transient=True):
        files[folder / f"{module}.v"] = emit(values, module, uart, checksum)
        files[folder / f"{module}.toml"] = values.to_toml()
    if config is None and output is None:
        files |= {Path(path): text() for path, text in DOCUMENTS.items()}
    elif config is None:
        files |= {
            folder / "holdfast.h": c_header(),
            folder / "reference.md": reference("holdfast.h"),
        }
    make_folder(folder)
    for path, text in files.items():
        write_atomically(path, text.encode())
    for module, values in wanted.items():
        console.print(f"{folder / module}.v: {values.name}")


if __name__ == "__main__":
    sys.exit(run(app))
