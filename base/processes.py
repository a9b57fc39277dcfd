"""Child processes that never outlive what started them.

    done = run_tool(["g++", ...], folder)
    with child(command, stdout=subprocess.PIPE) as process:
        ...                           # at the end of the block it is gone, and all that it started

Every child is the first of a session of its own, together with a watcher that reads from a pipe
which this process alone holds open. However this process ends, the pipe ends with it, and the
watcher kills the whole session: from the child's first moment on, in native code too, on every
system with a shell.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_WATCHED = """
exec 3<&0 </dev/null
{ read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 &
exec "$@" 3<&-
"""
"""The child keeps its number and its exit code; the watcher is its only child at first."""

_running: set[subprocess.Popen] = set()
_ending = False


class Ending(Exception):
    """No child is started any more: this process is about to end."""


@contextlib.contextmanager
def child(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen]:
    """Starts a process that ends with the block, at the latest; its standard input is empty.

    Parameters
    ----------
    options
        As of :class:`subprocess.Popen`.

    Raises
    ------
    Ending
        This process is about to end.
    """
    life, held = os.pipe()
    process = None
    try:
        # A program that is missing is exit code 127.
        process = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHED, "sh", *command],
            stdin=life,
            start_new_session=True,
            **options,
        )
        _running.add(process)
        if _ending:
            raise Ending
        os.close(life)
        life = -1
        yield process
    finally:
        for end in (life, held):
            if end >= 0:
                os.close(end)
        if process is not None:
            kill(process)
            process.wait()
            _running.discard(process)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def run_tool(
    command: Sequence[str],
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    capture: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end; what it prints is UTF-8.

    Parameters
    ----------
    capture : bool
        Keep what it prints for the caller.

    Raises
    ------
    subprocess.TimeoutExpired
        It took longer than ``timeout`` seconds.
    """
    pipe = subprocess.PIPE if capture else None
    with child(
        command, cwd=folder, env=env, stdout=pipe, stderr=pipe, encoding="utf-8", errors="replace"
    ) as process:
        output, errors = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(command, process.returncode, output, errors)


def end_children() -> None:
    """Kill all children, whatever they do, and start none any more."""
    global _ending
    _ending = True
    for process in list(_running):
        kill(process)


def kill(process: subprocess.Popen) -> None:
    """Kill a child's whole session, unless it has been waited for: its number may be another's."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
