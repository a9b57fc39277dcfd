"""How every command ends: a user's mistake is one sentence and exit code 2."""

import sys

import typer

from .errors import HoldfastError

__all__ = ["run"]

_INTERRUPTED = 130


def run(app: typer.Typer) -> int:
    """Run a command and return its exit code; 130 after Ctrl-C."""
    try:
        # Typer turns Ctrl-C into this code, an end of input into Abort.
        result = app(standalone_mode=False)
        if result == _INTERRUPTED:
            raise KeyboardInterrupt
    except (typer.Abort, KeyboardInterrupt):
        print("Stopped.", file=sys.stderr)
        return _INTERRUPTED
    except HoldfastError as error:
        print(error, file=sys.stderr)
        return 2
    except Exception as error:
        # Typer's own errors, such as an unknown option; where their class lies changes.
        if not hasattr(error, "show") or not hasattr(error, "exit_code"):
            raise
        error.show()
        return int(error.exit_code)
    return result if isinstance(result, int) else 0
