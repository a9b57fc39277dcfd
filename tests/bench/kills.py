"""``nox -s bench -- kills``: a campaign killed at random moments ends as if nothing had happened.

Runs ``nox -s campaign``'s command once in peace and once with SIGKILLs, of the whole command and of
one of its worker processes in turn, each after a random time, restarting it where it died. Shards
and summary must be the same bytes. Writes build/bench/kills.json.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from base.command import run
from base.files import write_atomically

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console()


@app.command()
def kills(
    times: Annotated[int, typer.Option(help="SIGKILLs.")] = 20,
    faults: Annotated[int, typer.Option(help="Faults of the campaign.")] = 120_000,
    longest: Annotated[float, typer.Option(help="Longest time to a kill, in seconds.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder of the JSON.")] = Path("build/bench"),
) -> int:
    """Kill a campaign again and again and compare its end."""
    source = random.Random(seed)
    done = {"parent": 0, "worker": 0}
    with tempfile.TemporaryDirectory(prefix="holdfast-kills-") as folder:
        calm, killed = Path(folder, "calm"), Path(folder, "killed")
        _start(calm, faults).wait()
        command: subprocess.Popen | None = None
        while sum(done.values()) < times:
            if command is None or command.poll() is not None:
                command = _start(killed, faults)
            victim = source.choice(sorted(done))
            before = _shards(killed)
            if source.random() < 0.7:
                # While shards are written, not while the command starts.
                while command.poll() is None and _shards(killed) == before:
                    time.sleep(0.05)
                time.sleep(source.uniform(0, 2))
            else:
                time.sleep(source.uniform(0.5, longest))
            children = _workers(command.pid)
            if command.poll() is not None:
                # It has ended in the meantime; the next round starts from nothing.
                break
            if victim == "parent" or not children:
                victim = "parent"
                command.kill()
                command.wait()
            else:
                os.kill(source.choice(children), signal.SIGKILL)
            done[victim] += 1
            console.print(f"kill {sum(done.values())}: {victim}, {_shards(killed)} shards so far")
        if command is not None:
            # One whose worker was killed goes on.
            command.wait()
        code = _start(killed, faults).wait()
        same = code == 0 and _content(calm) == _content(killed)
        result = {"kills": done, "faults": faults, "shards": _shards(calm), "identical": same}
    write_atomically(output / "kills.json", json.dumps(result, indent=1).encode())
    console.print(result)
    return 0 if same and sum(done.values()) == times else 1


def _start(folder: Path, faults: int) -> subprocess.Popen:
    options = ["--faults", str(faults), "--unit", "100", "--audit", "0", "--store", str(folder)]
    command = [sys.executable, "-m", "fault", *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _workers(parent: int) -> list[int]:
    """Processes that compute units."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            owner = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            text = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if owner == parent and b"spawn_main" in text:
            found.append(int(path.name))
    return found


def _shards(folder: Path) -> int:
    return len(list(folder.glob("shards/*.parquet")))


def _content(folder: Path) -> dict[str, bytes]:
    paths = [*sorted(folder.glob("shards/*.parquet")), folder / "summary.json"]
    return {path.name: path.read_bytes() for path in paths}


if __name__ == "__main__":
    sys.exit(run(app))
