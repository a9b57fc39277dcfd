"""``nox -s bench -- kills``: killed and interrupted at random moments, as if nothing had happened.

Runs the commands of a campaign and of an exploration once in peace, and once with SIGKILLs, of the
whole command and of one of its workers in turn, and with Ctrl-C, each after a random time, and
starts them again where they ended. The results must be the same bytes, no process may be left two
seconds after the command was hit, Ctrl-C must end it within two seconds with exit code 130 and
one word, and after the last run no file may be left but those of the peaceful one. Needs Linux.
Writes build/bench/kills.json.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.files import write_json
from holdfast.base.options import LAST_SEED, number, path, whole

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_MARK = "HOLDFAST_BENCH_KILLS"
"""A variable that all processes of a command inherit."""
_LIMIT_S = 2.0


@dataclass
class _Subject:
    """A command that is hit again and again.

    Attributes
    ----------
    options : list of str
        Without the places that it writes to.
    results : str
        Pattern of the files that grow while it runs.
    """

    module: str
    options: list[str]
    results: str
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def places(self, folder: Path) -> list[str]:
        """Where it writes to."""
        if self.module == "fault":
            return ["--store", str(folder)]
        return ["--output", str(folder), "--cache", str(folder / "cache")]

    def start(self, folder: Path) -> "_Running":
        """Run it in a session of its own, as a terminal does."""
        return _Running(
            [sys.executable, "-m", self.module, *self.options, *self.places(folder)], folder
        )

    def done(self, folder: Path) -> int:
        """Results so far."""
        return len(list(folder.glob(self.results)))


class _Running:
    """One run of a command, all of its processes, and what it says."""

    def __init__(self, command: list[str], folder: Path):
        self.mark = f"{folder.name}-{time.monotonic_ns()}"
        scratch = folder.with_name("scratch")
        scratch.mkdir(exist_ok=True)
        self.said = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command,
            env=os.environ | {_MARK: self.mark, "TMPDIR": str(scratch)},
            stdout=subprocess.DEVNULL,
            stderr=self.said,
            start_new_session=True,
            # Whatever this process ignores.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
        )

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def processes(self, having: bytes = b"") -> list[int]:
        """Living processes of it, with this in their command line."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                marked = f"{_MARK}={self.mark}\0".encode() in (process / "environ").read_bytes()
                if marked and having in (process / "cmdline").read_bytes():
                    found.append(int(process.name))
            except OSError:
                continue
        return found

    def errors(self) -> str:
        """What it said on standard error."""
        self.said.seek(0)
        return self.said.read()


@app.command()
def kills(
    times: Annotated[int, whole(0, 1000, "SIGKILLs of each command.")] = 20,
    interrupts: Annotated[int, whole(0, 1000, "Ctrl-C of each command.")] = 10,
    faults: Annotated[int, whole(1, 10**7, "Faults of the campaign.")] = 40_000,
    points: Annotated[int, whole(1, 64, "Arrays of the exploration.")] = 12,
    longest: Annotated[float, number(0.1, 1000, "Longest time to a hit, in seconds.")] = 8.0,
    seed: Annotated[int, whole(0, LAST_SEED, "Of the moments.")] = 1,
    output: Annotated[Path, path("Folder of the JSON.")] = Path("build/bench"),
) -> int:
    """Kill and interrupt a campaign and an exploration again and again and compare their ends."""
    arrays = ",".join(f"{1 + n % 4}x{1 + n // 4}" for n in range(points))
    subjects = [
        _Subject("fault", ["--faults", str(faults), "--unit", "100", "--audit", "0"],
                 "shards/*.parquet"),
        _Subject("explore", ["--arrays", arrays, "--networks", "resnet8", "--guards", "off",
                             "--targets", "ice40", "--faults", "0", "--model-images", "16"],
                 "cache/*/*.json"),
    ]  # fmt: skip
    source = random.Random(seed)
    result: dict[str, Any] = {"faults": faults, "points": points}
    for subject in subjects:
        hits = ["kill"] * times + ["Ctrl-C"] * interrupts
        source.shuffle(hits)
        with tempfile.TemporaryDirectory(prefix="holdfast-kills-") as folder:
            same = _hit(subject, hits, Path(folder), source, longest)
        result[subject.module] = {
            "kills": times,
            "interrupts": interrupts,
            "identical": same,
            "slowest_interrupt_s": round(max(subject.seconds, default=0), 2),
            "wrong": subject.wrong,
        }
        console.print(result[subject.module])
        write_json(output / "kills.json", result)
    return 1 if any(result[s.module]["wrong"] for s in subjects) else 0


def _hit(
    subject: _Subject, hits: list[str], folder: Path, source: random.Random, longest: float
) -> bool:
    calm, hurt = folder / "calm", folder / "hurt"
    if code := subject.start(calm).process.wait():
        subject.wrong.append(f"undisturbed, it ended with {code}")
        return False
    expected, scratch = _content(calm), folder / "scratch"
    calm_left = {file.name for file in scratch.iterdir()}
    running: _Running | None = None
    struck = ""
    for count, hit in enumerate(hits, 1):
        before, struck = struck, ""
        while not struck:
            if running is None or running.ended:
                code = running.process.returncode if running else 0
                if running and code and before != "command":
                    subject.wrong.append(f"it ended with {code}: {running.errors()[-300:]!r}")
                before = ""
                if running and code == 0:
                    # It was through; the next round starts from nothing.
                    _compare(subject, expected, hurt)
                    shutil.rmtree(hurt)
                running = subject.start(hurt)
            _wait(subject, running, hurt, source, longest)
            struck = _strike(subject, running, hit, source)
        done = subject.done(hurt)
        console.print(f"{subject.module} {count}: {hit}, {done} results so far")
    code = running.process.wait() if running else 0
    last = subject.start(hurt).process.wait()
    if last:
        subject.wrong.append(f"the last run ended with {last}, the one before with {code}")
    _compare(subject, expected, hurt)
    if left := {file.name for file in scratch.iterdir()} - calm_left:
        subject.wrong.append(f"temporary files are left: {left}")
    return not subject.wrong


def _wait(
    subject: _Subject, running: _Running, folder: Path, source: random.Random, longest: float
) -> None:
    """Until a random moment: from the command's start, or from the next result."""
    limit = time.monotonic() + source.uniform(0.1, longest)
    before = subject.done(folder)
    if source.random() < 0.5:
        while not running.ended and subject.done(folder) == before:
            time.sleep(0.02)
        limit = time.monotonic() + source.uniform(0, 1)
    while not running.ended and time.monotonic() < limit:
        time.sleep(0.01)


def _strike(subject: _Subject, running: _Running, hit: str, source: random.Random) -> str:
    """What was hit, ``worker`` or ``command``; empty if the command had ended."""
    workers = running.processes(b"holdfast.base.pool")
    if running.ended:
        return ""
    if hit == "kill" and workers and source.random() < 0.5:
        os.kill(source.choice(workers), signal.SIGKILL)
        return "worker"
    began = time.monotonic()
    if hit == "kill":
        running.process.kill()
        running.process.wait()
    else:
        os.killpg(running.process.pid, signal.SIGINT)
        code = running.process.wait()
        subject.seconds.append(time.monotonic() - began)
        if code == 0:
            return ""
        # A line that a progress bar had begun may come before.
        said = running.errors()
        if code != 130 or said.splitlines()[-1:] != ["Stopped."] or "Traceback" in said:
            subject.wrong.append(f"Ctrl-C: exit code {code}, {said[-300:]!r}")
        if subject.seconds[-1] > _LIMIT_S:
            subject.wrong.append(f"Ctrl-C took {subject.seconds[-1]:.2f} s")
    time.sleep(max(0.0, began + _LIMIT_S - time.monotonic()))
    if left := running.processes():
        told = [_told(process) for process in left]
        subject.wrong.append(f"{hit}: processes are left after {_LIMIT_S} s: {told}")
    return "command"


def _told(process: int) -> str:
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        return f"{state} {Path(f'/proc/{process}/cmdline').read_text()[:80]}"
    return "ended just now"


def _compare(subject: _Subject, expected: dict[str, bytes], folder: Path) -> None:
    found = _content(folder)
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            subject.wrong.append(f"{name} is missing")
        elif name not in expected:
            subject.wrong.append(f"{name} is left over")
        elif found[name] != expected[name]:
            subject.wrong.append(f"{name} differs")


def _content(folder: Path) -> dict[str, bytes]:
    """Every file; of an exploration's summary, what does not tell of the run itself."""
    content = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_dir() or name.endswith((".lock", "report.html", ".log")) or name == "lock":
            continue
        content[name] = file.read_bytes()
    if "summary.json" in content:
        summary = json.loads(content["summary.json"])
        for key in ("command", "seconds", "check"):
            summary.pop(key, None)
        content["summary.json"] = json.dumps(summary).encode()
    return content


if __name__ == "__main__":
    sys.exit(run(app))
