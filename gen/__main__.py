"""``python -m gen``: writes the released Verilog, header and reference, or one configuration's."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from .command import make_folder, run
from .config import AcceleratorConfig
from .documents import DOCUMENTS
from .errors import HoldfastError
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
    name: Annotated[str, typer.Option(help="Module name for --config.")] = "holdfast",
    output: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("rtl"),
    uart: Annotated[
        int | None,
        typer.Option(help="Serial port instead of AXI: clock cycles per bit, at least 4."),
    ] = None,
) -> None:
    """Write Verilog and the configuration it was made from."""
    wanted = {name: AcceleratorConfig.from_toml(config)} if config else REFERENCES
    if not name.isidentifier() or not name.isascii():
        raise HoldfastError(f"--name must be a Verilog identifier, not {name!r}.")
    if uart is not None and (config is None or uart < 4):
        raise HoldfastError("--uart needs --config and must be at least 4.")
    make_folder(output)
    console = Console()
    for module, values in track(wanted.items(), "Generating", console=console, transient=True):
        _write(output / f"{module}.v", emit(values, module, uart))
        _write(output / f"{module}.toml", values.to_toml())
        console.print(f"{output / module}.v: {values.rows}x{values.cols}, guard {values.guard}")
    if config is None:
        for path, text in DOCUMENTS.items():
            _write(output.parent / path, text())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_text(text)
    unfinished.replace(path)


if __name__ == "__main__":
    sys.exit(run(app))
