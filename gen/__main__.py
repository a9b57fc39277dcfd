"""``python -m gen``: writes the released Verilog, header and reference, or one configuration's."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from base.command import run
from base.errors import HoldfastError
from base.files import make_folder, write_atomically

from .config import AcceleratorConfig
from .documents import DOCUMENTS
from .verilog import REFERENCES, emit

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(
    epilog="Examples: nox -s generate; "
    "nox -s generate -- --config my.toml --name my_core --output build/rtl; "
    "nox -s generate -- --config my.toml --uart 434 --output build/rtl"
)
def generate(
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file; without it, all reference configurations, holdfast.h and "
            "docs/reference.md."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Module name for --config (default holdfast).")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("rtl"),
    uart: Annotated[
        int | None,
        typer.Option(help="Serial port instead of AXI: clock cycles per bit, at least 4."),
    ] = None,
) -> None:
    """Write Verilog and the configuration it was made from."""
    if name is not None and config is None:
        raise HoldfastError("--name needs --config: the reference configurations have names.")
    module = "holdfast" if name is None else name
    if not module.isidentifier() or not module.isascii():
        raise HoldfastError(f"--name must be a Verilog identifier, not {name!r}.")
    wanted = {module: AcceleratorConfig.from_toml(config)} if config else REFERENCES
    if uart is not None and (config is None or uart < 4):
        raise HoldfastError("--uart needs --config and must be at least 4.")
    make_folder(output)
    console = Console()
    for module, values in track(wanted.items(), "Generating", console=console, transient=True):
        write_atomically(output / f"{module}.v", emit(values, module, uart).encode())
        write_atomically(output / f"{module}.toml", values.to_toml().encode())
        console.print(f"{output / module}.v: {values.name}")
    if config is None:
        for path, text in DOCUMENTS.items():
            write_atomically(output.parent / path, text().encode())


if __name__ == "__main__":
    sys.exit(run(app))
