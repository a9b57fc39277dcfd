"""Reading value change dumps: registers of two runs, side by side.

for moment, changes in samples(path, names, moments):
    ...
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

_SCALE = re.compile(r"(\d+)\s*(s|ms|us|ns|ps|fs)")
_FACTOR = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0, "ps": 1e-3, "fs": 1e-6}


def samples(
    path: Path, names: Sequence[str], moments: Sequence[int]
) -> Iterator[tuple[int, dict[str, int]]]:
    """Values of signals at increasing moments.

    Parameters
    ----------
    names : sequence of str
        Signals of the top level; those that the file lacks are left out.
    moments : sequence of int
        Nanoseconds.

    Yields
    ------
    tuple
        A moment, and by name the values that differ from those of the moment before (all values at
        the first one). Ends with the file.
    """
    wanted = set(names)
    with path.open(encoding="utf-8") as stream:
        identifiers, scale = _header(stream, wanted)
        pending: dict[str, int] = {}
        waiting = iter(moments)
        moment = next(waiting, None)
        for line in stream:
            kind = line[0]
            if kind == "#":
                now = int(line[1:]) * scale
                while moment is not None and now > moment:
                    yield moment, pending
                    pending = {}
                    moment = next(waiting, None)
                if moment is None:
                    return
            elif kind in "bB":
                bits, _, identifier = line[1:].rstrip().partition(" ")
                for name in identifiers.get(identifier, ()):
                    pending[name] = int(re.sub("[xXzZ]", "0", bits), 2)
            elif kind in "01xXzZ":
                for name in identifiers.get(line[1:].rstrip(), ()):
                    pending[name] = int(kind == "1")


def _header(stream: Iterator[str], wanted: set[str]) -> tuple[dict[str, list[str]], float]:
    """Names by identifier code, and nanoseconds per unit of time."""
    identifiers: dict[str, list[str]] = {}
    scale = 1.0
    for line in stream:
        words = line.split()
        if not words:
            continue
        if words[0] == "$var":
            name = words[4]
            if name in wanted and name not in identifiers.get(words[3], ()):
                identifiers.setdefault(words[3], []).append(name)
        elif words[0] == "$timescale":
            match = _SCALE.search(line)
            assert match is not None, line
            scale = int(match[1]) * _FACTOR[match[2]]
        elif words[0] == "$enddefinitions":
            break
    return identifiers, scale
