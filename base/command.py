"""Ends every command: a user's mistake in one sentence and exit code 2, a signal in one word."""

import contextlib
import io
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator

import typer

from .errors import HoldfastError, disk_reason
from .extras import needed
from .leftovers import scratch
from .signals import stoppable
from .text import printable

_INTERRUPTED = 128 + signal.SIGINT
_LONGEST = 1200


def run(app: typer.Typer, name: str | None = None) -> int:
    """Runs a command and returns its exit code; after a signal 128 and its number: 130 for Ctrl-C.

    Parameters
    ----------
    name : str, optional
        What the command is called in its help; by default how it was started.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that has not every character is no reason to end.
            stream.reconfigure(errors="backslashreplace")
    with stoppable() as stopped:
        try:
            with _own_temporary_files(), needed():
                result = app(standalone_mode=False, prog_name=name)
            # Typer turns Ctrl-C into this code.
            if stopped or result == _INTERRUPTED:
                raise KeyboardInterrupt
        except BaseException as error:
            if stopped or isinstance(error, KeyboardInterrupt):
                # Whatever was raised while it ended follows from that.
                print("Stopped.", file=sys.stderr)
                return 128 + stopped[0] if stopped else _INTERRUPTED
            return _failed(error)
    return result if isinstance(result, int) else 0


@contextlib.contextmanager
def _own_temporary_files() -> Iterator[None]:
    """Give this command and its children a folder for what libraries and tools leave behind."""
    before = os.environ.get("TMPDIR")
    with scratch() as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = None
            if before is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = before


def _failed(error: BaseException) -> int:
    if isinstance(error, typer.Abort) and isinstance(error.__cause__, EOFError):
        # Typer takes it for the end of its input; it is a file's that ends too early.
        raise error.__cause__
    if isinstance(error, HoldfastError):
        print(printable(error, _LONGEST), file=sys.stderr)
        return 2
    if isinstance(error, OSError) and (reason := disk_reason(error)):
        print(f"cannot use {printable(error.filename or 'a file')}: {reason}.", file=sys.stderr)
        return 2
    # Typer's own errors, such as an unknown option; where their class lies changes.
    if not hasattr(error, "format_message") or not hasattr(error, "exit_code"):
        raise error
    told = printable(error.format_message(), _LONGEST)
    print(told if told.endswith((".", "?")) else f"{told}.", file=sys.stderr)
    return int(error.exit_code)


def repeated(name: str) -> str:
    """Returns the command line that was given to a command, as one that repeats it."""
    given = sys.argv[1:]
    arguments = given[1:] if given[:1] == [name] else given
    return " ".join(["holdfast", name, *(shlex.quote(printable(a)) for a in arguments)])
