"""Says what a signal does while a command's imports run, which takes seconds: it ends in one word.

The rooms import this module first. It does something only where ``python -m`` is about to run one
of their commands, whose :func:`base.command.run` takes over from it.
"""

import os
import signal
import sys
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
"""What asks a command to end: Ctrl-C, ``kill``, a terminal that is closed."""


def _end(number: int, frame: FrameType | None) -> None:
    # Nothing is begun yet, so nothing is to be tidied up.
    os.write(2, b"Stopped.\n")
    os._exit(128 + number)


if sys.argv[:1] == ["-m"] or os.path.basename(sys.argv[0]) == "holdfast":
    for _signal in SIGNALS:
        # What is ignored stays so: `nohup` and a shell's `&` want it.
        if signal.getsignal(_signal) != signal.SIG_IGN:
            signal.signal(_signal, _end)
