"""Signals that end a command: its children at once, itself in order, and soon in any case."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from .processes import end_children
from .start import SIGNALS

_PATIENCE_S = 1.5
"""What a command has to tidy up after a signal."""


@contextlib.contextmanager
def stoppable() -> Iterator[list[int]]:
    """Let the first signal interrupt the block, as Ctrl-C does; further ones do nothing.

    Yields
    ------
    list of int
        The signal, once there was one; this process is then about to end.
    """
    stopped: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if stopped:
            return
        stopped.append(number)
        end_children()
        raise KeyboardInterrupt

    previous = {
        number: signal.signal(number, stop)
        for number in SIGNALS
        # What is ignored stays so: `nohup` and a shell's `&` want it.
        if signal.getsignal(number) != signal.SIG_IGN
    }
    heard, told = os.pipe()
    os.set_blocking(told, False)
    # Tells of a signal while native code keeps Python's handlers from running.
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    threading.Thread(target=_insist, args=(heard,), daemon=True).start()
    try:
        yield stopped
    finally:
        # Python gives handlers up before it has ended.
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_IGN if stopped else handler)
        if not stopped:
            signal.set_wakeup_fd(before)
            os.close(told)


def _insist(heard: int) -> None:
    """End this process if a signal does not within its time."""
    number = 0
    while number not in SIGNALS:
        found = os.read(heard, 1)
        if not found:
            os.close(heard)
            return
        number = found[0]
    time.sleep(_PATIENCE_S)
    end_children()
    os.write(2, b"Stopped.\n")
    os._exit(128 + number)
