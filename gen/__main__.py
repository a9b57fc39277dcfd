"""``python -m gen``: writes the released Verilog, or one configuration's."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from .command import run
from .config import AcceleratorConfig
from .errors import HoldfastError
from .verilog import REFERENCES, emit

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(
    epilog="Examples: nox -s generate; "
    "nox -s generate -- --config my.toml --name my_core --output build/rtl"
)
def generate(
    config: Annotated[
        Path | None, typer.Option(help="TOML file; without it, all reference configurations.")
    ] = None,
    name: Annotated[str, typer.Option(help="Module name for --config.")] = "holdfast",
    output: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("rtl"),
) -> None:
    """Write Verilog and the configuration it was made from."""
    wanted = {name: AcceleratorConfig.from_toml(config)} if config else REFERENCES
    if not name.isidentifier() or not name.isascii():
        raise HoldfastError(f"--name must be a Verilog identifier, not {name!r}.")
    console = Console()
    output.mkdir(parents=True, exist_ok=True)
    for module, values in track(wanted.items(), "Generating", console=console, transient=True):
        for suffix, text in ((".v", emit(values, module)), (".toml", values.to_toml())):
            unfinished = output / f".{module}{suffix}"
            unfinished.write_text(text)
            unfinished.replace(output / f"{module}{suffix}")
        console.print(f"{output / module}.v: {values.rows}x{values.cols}, guard {values.guard}")


if __name__ == "__main__":
    sys.exit(run(app))
