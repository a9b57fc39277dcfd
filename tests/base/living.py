"""Which processes are there, and how they take signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMPORTABLE = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
"""For ``PYTHONPATH`` of a child that imports the tests, or what the tests import."""
_LIMIT_S = 20
"""A machine under load takes its time; how fast it is, `tests/bench/kills.py` measures."""


def as_typed() -> None:
    """In a child: takes signals as a command that is typed in, whatever this process ignores."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def in_session(session: int) -> list[int]:
    """Processes of a session that live."""
    lines = subprocess.run(
        ["ps", "-eo", "pid=,sess=,stat="], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    found = [line.split() for line in lines]
    return [int(pid) for pid, of, state in found if int(of) == session and state[0] != "Z"]


def gone(session: int) -> bool:
    """Whether a session ends."""
    limit = time.monotonic() + _LIMIT_S
    while in_session(session):
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True
