"""How commands end."""

import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import typer

from holdfast.base.command import run
from holdfast.base.errors import HoldfastError
from holdfast.base.processes import run_tool
from tests.base.living import IMPORTABLE, ROOT, as_typed, gone

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.mark.parametrize(
    ("ending", "code", "told"),
    [
        (None, 0, ""),
        (3, 3, ""),
        (HoldfastError("rows must be 1 to 16, not 0."), 2, "rows must be 1 to 16, not 0.\n"),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a/b"),
            2,
            "cannot use a/b: No space left on device.\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied"),
            2,
            "cannot use a file: Permission denied.\n",
        ),
    ],
)
def test_endings(ending, code, told, capsys, monkeypatch):
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def command():
        if isinstance(ending, BaseException):
            raise ending
        return ending

    monkeypatch.setattr("sys.argv", ["command"])
    before = [signal.getsignal(number) for number in SIGNALS]
    assert run(app) == code
    assert capsys.readouterr().err.lstrip("\n") == told
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("ending", [None, HoldfastError("no."), KeyboardInterrupt()])
def test_what_libraries_and_tools_leave_goes_with_the_command(ending, tmp_path, monkeypatch):
    app = typer.Typer(add_completion=False)
    left = "import tempfile; print(tempfile.mkdtemp())"

    @app.command()
    def command():
        of_a_tool = run_tool([sys.executable, "-c", left]).stdout.strip()
        for folder in (Path(tempfile.mkdtemp()), Path(of_a_tool)):
            assert folder.is_dir() and tmp_path in folder.parents
        if ending:
            raise ending

    monkeypatch.setattr("sys.argv", ["command"])
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    run(app)
    assert not list(tmp_path.iterdir())
    assert os.environ["TMPDIR"] == tempfile.gettempdir() == str(tmp_path)


def test_an_unknown_option(capsys, monkeypatch):
    app = typer.Typer(add_completion=False)
    app.command()(lambda: None)
    monkeypatch.setattr("sys.argv", ["command", "--nope"])
    assert run(app) == 2
    assert capsys.readouterr().err == "No such option: --nope.\n"


@pytest.mark.parametrize(
    "bug", [ValueError("bug"), EOFError("Ran out of input"), FileNotFoundError("bug")]
)
def test_a_bug_is_not_hidden(bug, monkeypatch, capsys):
    """A file that ends too early is not Ctrl-C either."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def command():
        raise bug

    monkeypatch.setattr("sys.argv", ["command"])
    with pytest.raises(type(bug), match=str(bug)):
        run(app)
    assert "Stopped." not in capsys.readouterr().err


COMMAND = """
import concurrent.futures, ctypes, sys, tempfile, time
import typer
from holdfast.base.command import run
from holdfast.base.pool import in_processes
from holdfast.base.processes import run_tool
from pathlib import Path
app = typer.Typer()
tool = ["/bin/sh", "-c", "echo $$ >> sessions; sleep 600 & sleep 600"]

def tools(item):
    run_tool(tool)

def compiling():
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(tools, range(9)))

def computing():
    list(in_processes(tools, range(9), 2, "died"))

def swallowing():
    tools(0) if Path("sessions").exists() else None
    Path("sessions").touch()
    for _ in range(9):
        try:
            tools(0)
        except BaseException:
            time.sleep(600)

def native():
    Path("sessions").touch()
    mutex = ctypes.create_string_buffer(256)
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_lock(mutex)

@app.command()
def command(what: str):
    with tempfile.TemporaryDirectory(dir=".", prefix="left-"):
        globals()[what]()

if __name__ == "__main__":
    sys.exit(run(app))
"""


def started(folder, what):
    (folder / "stopped_command.py").write_text(COMMAND)
    command = [sys.executable, "-m", "stopped_command", what]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), IMPORTABLE])}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True,
        preexec_fn=as_typed,
    )  # fmt: skip
    sessions = folder / "sessions"
    limit = time.monotonic() + 60
    wanted = {"compiling": 2, "computing": 2, "swallowing": 1, "native": 0}[what]
    while not sessions.exists() or len(sessions.read_text().split()) < wanted:
        assert time.monotonic() < limit and process.poll() is None
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("what", ["compiling", "computing"])
def test_a_signal_ends_everything(tmp_path, what, number):
    process = started(tmp_path, what)
    sent = time.monotonic()
    process.send_signal(number)
    assert (process.communicate(timeout=20)[1], process.returncode) == (
        "Stopped.\n",
        SIGNALS[number],
    )
    # A loaded machine may be slower than a command has patience for; the next run then tidies up.
    assert time.monotonic() - sent > 1 or not list(tmp_path.glob("left-*"))
    assert all(gone(int(session)) for session in (tmp_path / "sessions").read_text().split())


@pytest.mark.parametrize("what", ["computing", "swallowing", "native"])
def test_many_signals_end_it_as_one(tmp_path, what):
    """Also where nothing of it is heard: within native code, or where it is swallowed."""
    process = started(tmp_path, what)
    for _ in range(20):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    assert (process.communicate(timeout=20)[1], process.returncode) == ("Stopped.\n", 130)


def test_an_ignored_signal_stays_ignored(tmp_path):
    """As `nohup` wants it."""
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    code += COMMAND.replace("globals()[what]()", "Path('ready').touch(); time.sleep(1)")
    (tmp_path / "ignoring.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    command = [sys.executable, "ignoring.py", "x"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment)
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
@pytest.mark.parametrize("delay", [0, 0.2, 0.8])
@pytest.mark.parametrize("name", ["campaign", "explore", "train"])
def test_ctrl_c_during_start_up(name, delay):
    """From the first import on, which handles signals that Python does not."""
    process = subprocess.Popen(
        [sys.executable, "-m", "holdfast.cli", name], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, preexec_fn=as_typed,
    )  # fmt: skip
    status = Path(f"/proc/{process.pid}/status")
    while not int(re.search(r"SigCgt:\s*(\w+)", status.read_text())[1], 16) & 1 << 14:
        assert process.poll() is None
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    assert (process.communicate(timeout=60)[1], process.returncode) == ("Stopped.\n", 130)
