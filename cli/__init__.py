"""``holdfast``: every command of the project, each imported only when it is used.

holdfast campaign --network resnet8 --faults 20000
"""

from holdfast.base import start  # noqa: F401, I001 (before all that takes its time)

import contextlib
import importlib
import sys
from importlib import metadata
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from holdfast.base.command import run
from holdfast.base.console import told
from holdfast.base.errors import HoldfastError
from holdfast.base.extras import needed


class Command(NamedTuple):
    """Says where a command is, and what the list of commands says of it."""

    module: str
    panel: str
    help: str


_FAULTS, _NETWORKS, _HARDWARE = "Break a network on its hardware", "Networks", "Hardware"
COMMANDS = {
    "sim": Command(
        "fault.simulate", _FAULTS, "Simulate a network on the RTL, and upset single bits."
    ),
    "campaign": Command(
        "fault.__main__", _FAULTS, "Estimate failure rates from faults in whole inferences."
    ),
    "rates": Command(
        "fault.rates", _FAULTS, "Turn a campaign into failures in time in an environment."
    ),
    "calibrate": Command(
        "fault.calibration.calibrate", _FAULTS, "Fit an error model to campaigns; predict with it."
    ),
    "explore": Command(
        "explore.__main__", _FAULTS, "Weigh networks, arrays and protection against each other."
    ),
    "recommend": Command(
        "explore.__main__", _FAULTS, "Name the fastest explored design within a budget."
    ),
    "train": Command("nn.training.train", _NETWORKS, "Train, quantize and lower a network."),
    "ptq": Command("nn.training.ptq", _NETWORKS, "Quantize without training, in every way."),
    "ftt": Command("nn.training.ftt", _NETWORKS, "Compare fault-tolerant with clean training."),
    "prove": Command(
        "sim.proof.__main__", _HARDWARE, "Prove what the protections find, by induction."
    ),
    "generate": Command("gen.__main__", _HARDWARE, "Write the Verilog of an accelerator."),
    "bitstream": Command("constraints.__main__", _HARDWARE, "Make a board's bitstream."),
    "run": Command("constraints.client", _HARDWARE, "Run a network on a board."),
}


class _Commands(TyperGroup):
    """Lists commands without importing them; imports the one that is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        return name, None if name is None else _loaded(name), rest


def _loaded(name: str) -> Any:
    """Imports a command: an application of its own, or one of an application's commands."""
    command = typer.main.get_command(_module(name).app)
    return getattr(command, "commands", {}).get(name, command)


def _module(name: str) -> Any:
    with needed():
        return importlib.import_module(f"holdfast.{COMMANDS[name].module}")


app = typer.Typer(cls=_Commands, pretty_exceptions_enable=False)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"holdfast {metadata.version('holdfast')}")
        raise typer.Exit


@app.callback(
    epilog="Example: holdfast sim --network resnet8; holdfast COMMAND --help tells its options."
)
def holdfast(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_tell_version, is_eager=True),
    ] = False,
) -> None:
    """Generate fault-tolerant accelerators for neural networks, run networks, break them."""


for _name, _command in COMMANDS.items():
    app.command(_name, help=_command.help, rich_help_panel=_command.panel)(lambda: None)


def main() -> int:
    """Runs the command line; returns its exit code."""
    called = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    if called in COMMANDS:
        # Here a signal still ends all at once. What is missing is told by `run`, which asks again.
        with contextlib.suppress(HoldfastError), told(f"Loading {called} ... "):
            _module(called)
    return run(app, "holdfast")
