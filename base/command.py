"""How every command ends: a user's mistake is one sentence and exit code 2."""

import io
import shlex
import sys

import typer

from .errors import HoldfastError
from .text import printable

__all__ = ["repeated", "run"]

_INTERRUPTED = 130
_LONGEST = 1200


def run(app: typer.Typer) -> int:
    """Run a command and return its exit code; 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that has not every character is no reason to end.
            stream.reconfigure(errors="backslashreplace")
    try:
        # Typer turns Ctrl-C into this code, an end of input into Abort.
        result = app(standalone_mode=False)
        if result == _INTERRUPTED:
            raise KeyboardInterrupt
    except (typer.Abort, KeyboardInterrupt):
        print("Stopped.", file=sys.stderr)
        return _INTERRUPTED
    except HoldfastError as error:
        print(printable(error, _LONGEST), file=sys.stderr)
        return 2
    except Exception as error:
        # Typer's own errors, such as an unknown option; where their class lies changes.
        if not hasattr(error, "format_message") or not hasattr(error, "exit_code"):
            raise
        print(printable(error.format_message(), _LONGEST), file=sys.stderr)
        return int(error.exit_code)
    return result if isinstance(result, int) else 0


def repeated(session: str) -> str:
    """The command line that was given, as one for nox that repeats it."""
    return " ".join([f"nox -s {session} --", *(shlex.quote(printable(a)) for a in sys.argv[1:])])
