"""Damaged and hostile files: seeded mutations of bytes and of JSON, and how a reader takes them.

    result = survey(read, mutants)      # in a process of its own, see `run_survey`

``read`` has to return or to raise HoldfastError with a printable sentence, in time.
"""

import copy
import json
import random
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from holdfast.base.errors import HoldfastError

ROOT = Path(__file__).parents[2]
SECONDS = 20
SENTENCE = 600
_DEEP = "@DEEP@"
_VALUES = (
    None, True, [], {}, "", "x", "../../x", "/tmp/x", ".x", "-x", "a/b", "a\0b", "a\nb", "\ud800",
    "[bold]x[/]", "</script>", "\x1b[31m", "é", "y" * 100_000, 0, -1, 1, 0.5, -0.0, 1e308, 5e-324,
    255, 256, 257, 65535, 65536, 65537, 1 << 31, 1 << 40, -(1 << 63), 1 << 64, 10**4000, [0], [[]],
    [1, 2, 3, 4], [1] * 5000, {"a": 1}, float("nan"), float("inf"), -float("inf"), _DEEP,
)  # fmt: skip


def mutated_bytes(draw: random.Random, data: bytes) -> bytes:
    """Bytes changed, cut off, cut out, doubled or appended."""
    choice = draw.randrange(8)
    at, length = draw.randrange(len(data)), draw.choice([1, 8, draw.randrange(1, len(data))])
    if choice == 0:
        return data[:at]
    if choice == 1:
        return data[:at] + data[at + length :]
    if choice == 2:
        return data[:at] + data[at : at + length] + data[at:]
    if choice == 3:
        return data + draw.randbytes(length)
    changed = bytearray(data)
    # The first bytes tell the most.
    span = len(data) if choice < 6 else min(len(data), 4000)
    for _ in range(draw.choice([1, 1, 2, 8])):
        changed[draw.randrange(span)] ^= draw.choice([1 << draw.randrange(8), 255, 128])
    return bytes(changed)


def mutated_json(draw: random.Random, value: Any) -> str:
    """JSON, or nearly, of a value of which 1 to 3 parts are others or missing."""
    value = copy.deepcopy(value)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        _mutate(draw, value)
    text = json.dumps(value)
    depth = draw.choice([100, 1000, 100_000])
    return text.replace(json.dumps(_DEEP), "[" * depth + "]" * depth)


def _mutate(draw: random.Random, value: Any) -> None:
    places = list(_places(value))
    if not places:
        return
    holder, key = draw.choice(places)
    old = holder[key]
    choice = draw.randrange(12)
    if choice == 0:
        del holder[key]
    elif choice == 1 and isinstance(holder, list):
        holder.insert(draw.randrange(len(holder) + 1), copy.deepcopy(draw.choice(holder)))
    elif choice == 2 and isinstance(holder, dict):
        holder[draw.choice(["", "name", "shape", "z" * 9000, "a\0"])] = copy.deepcopy(
            draw.choice(_VALUES)
        )
    elif choice == 3:
        other, name = draw.choice(places)
        holder[key] = copy.deepcopy(other[name])
    elif choice <= 9 and isinstance(old, int | float):
        holder[key] = draw.choice([old + 1, old - 1, -old, old * 2, old * 256, 0.5])
    else:
        holder[key] = copy.deepcopy(draw.choice(_VALUES))


def _places(value: Any) -> Iterable[tuple[Any, Any]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in list(parts):
        yield value, key
        if isinstance(part, dict | list):
            yield from _places(part)


def check_sentence(error: HoldfastError) -> None:
    """Fails if an error is no short printable sentence."""
    text = str(error)
    assert text.isprintable() and len(text) <= SENTENCE and text.endswith("."), text[:300]


def survey(read: Callable[[Path], None], mutants: Iterable[bytes], folder: Path) -> dict[str, Any]:
    """What came of reading files: how many were taken and refused, and what must not be."""
    taken = refused = 0
    wrong: list[str] = []
    path = folder / "model"

    def late(number: int, frame: Any) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)
    for number, data in enumerate(mutants):
        path.write_bytes(data)
        signal.alarm(SECONDS)
        try:
            try:
                read(path)
                taken += 1
            except HoldfastError as error:
                refused += 1
                check_sentence(error)
        except BaseException:
            wrong.append(f"{number}: {traceback.format_exc()}")
        finally:
            signal.alarm(0)
    strangers = sorted(str(p) for p in folder.rglob("*") if p != path)
    return {
        "taken": taken, "refused": refused, "wrong": wrong, "strangers": strangers,
        "peak": peak(),
    }  # fmt: skip


def peak() -> int:
    """Most bytes of memory so far; getrusage would count those of the process that started this."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:", 1)[1].split()[0]) << 10


def run_survey(module: str, count: int, folder: Path, *bases: Path) -> dict[str, Any]:
    """The answer of a module's own survey of ``count`` mutants of some files."""
    work = folder / "work"
    work.mkdir()
    command = [sys.executable, "-m", module, str(count), str(work), *map(str, bases)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
