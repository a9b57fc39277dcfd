"""The front door: every command of the project, in one environment built on first use.

    python3 -m pip install nox
    python3 -m nox -s sim              # the main job; arguments follow after --
    python3 -m nox -s tests

All sessions share ``.nox/holdfast``: the packages weigh more than a gigabyte, and nox would build
one environment per session. It is rebuilt when pyproject.toml, requirements.lock or the Python
version changes.
A mistake of the user ends with exit code 2, Ctrl-C with 130, every other failure with 1.
"""

import hashlib
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "tests"]

ROOT = Path(__file__).parent
ENVIRONMENT = ROOT / ".nox" / "holdfast"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = ENVIRONMENT / "stamp"
NAMESPACE = ROOT / ".nox" / "ns"
LOCK = ROOT / "requirements.lock"
PROJECT = ROOT / "pyproject.toml"
USER_MISTAKE = 2
TIDYING_S = 1.7
"""A little more than a command takes to end after a signal (base/command.py)."""


def ends(number: int, frame: object) -> None:
    """`kill` and a closed terminal end the command too: nox alone would leave it behind."""
    raise KeyboardInterrupt


for number in {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:
    if signal.getsignal(number) == signal.SIG_DFL:
        signal.signal(number, ends)


def environment(session: nox.Session) -> None:
    """Creates or renews the shared environment; returns at once when it is current."""
    if sys.version_info < (3, 11):  # noqa: UP036 (nox runs under the user's Python)
        session.error("Holdfast needs Python 3.11 or newer, not {}.{}".format(*sys.version_info))
    stamp = hashlib.sha256(
        b"".join(
            [PROJECT.read_bytes(), LOCK.read_bytes(), sys.version.encode(), str(ROOT).encode()]
        )
    ).hexdigest()
    if STAMP.is_file() and STAMP.read_text() == stamp:
        return
    session.log("installing the environment in .nox/holdfast (once, 2.4 GB)")
    if not PYTHON.is_file():
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        # virtualenv comes with nox; the standard venv lacks pip on a bare Debian.
        session.run(sys.executable, "-m", "virtualenv", "--quiet", str(ENVIRONMENT), external=True)
    STAMP.unlink(missing_ok=True)
    install = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    session.run(
        *install, "--require-hashes", "--no-deps", "--requirement", str(LOCK), external=True
    )
    # What is left is PyTorch; --no-build-isolation builds with the locked setuptools.
    session.run(*install, "--no-build-isolation", "--editable", f"{ROOT}[dev]", external=True)
    # Type checkers and editors do not follow the import hook of an editable installation.
    NAMESPACE.mkdir(exist_ok=True)
    if not (link := NAMESPACE / "holdfast").is_symlink():
        link.symlink_to(os.path.join("..", ".."), target_is_directory=True)
    STAMP.write_text(stamp)


def python(session: nox.Session, *arguments: str, extra: bool = True) -> None:
    """Runs the environment's Python with `arguments` and, if `extra`, those given after ``--``."""
    environment(session)
    given = session.posargs if extra else []
    try:
        session.run(str(PYTHON), *arguments, *given, external=True, terminate_timeout=TIDYING_S)
    except CommandFailed as failure:
        if getattr(failure, "return_code", None) == USER_MISTAKE:
            # nox turns every failed session into 1.
            raise SystemExit(USER_MISTAKE) from None
        raise


COMMANDS = {
    "sim": "Simulates a network on the generated accelerator, checks it and injects faults.",
    "campaign": "Injects faults into whole inferences: sampling plan, intervals, store, report.",
    "rates": "Turns a finished campaign into failures in time in an environment.",
    "explore": "Weighs networks, arrays and protection: accuracy, failures, area, latency; "
    "recommends.",
    "calibrate": "Fits a fault model for networks to a campaign, and predicts with it.",
    "generate": "Writes the Verilog of the reference configurations to rtl/.",
    "prove": "Proves what the protections find, for every single upset in every cycle.",
    "bitstream": "Makes a board's bitstream, or its Vivado project.",
    "train": "Trains, quantizes and lowers a network.",
    "ptq": "Accuracy after quantization without training, in every way.",
    "ftt": "Fault-tolerant training against clean training, under fault models at network level.",
}
"""Of `holdfast`: what each session of that name does."""


def command(name: str) -> None:
    """Makes the session of a command."""

    def session(session: nox.Session) -> None:
        python(session, "-m", "holdfast.cli", name)

    session.__doc__ = COMMANDS[name]
    nox.session(session, name=name)


for name in COMMANDS:
    command(name)


@nox.session
def tests(session: nox.Session) -> None:
    """Runs the tests; with ``-- --all`` the long ones too, as CI does."""
    python(session, "-m", "pytest", "-n", "2", "--dist", "worksteal")


@nox.session(venv_backend="virtualenv")
def lock(session: nox.Session) -> None:
    """Writes requirements.lock anew; ``nox -s lock -- --upgrade`` takes the newest versions."""
    session.install("uv==0.13.9")
    session.run(
        "uv", "pip", "compile", str(PROJECT), "--extra", "dev", "--universal",
        "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate",
        "--no-config", "--quiet", "--output-file", str(LOCK), *session.posargs,
    )  # fmt: skip
    # A CPU build of PyTorch has other hashes and no CUDA; pyproject.toml pins its version.
    torch = re.compile(r"^(?:torch|triton|nvidia-|cuda-).*\n(?: .*\n)*", re.MULTILINE)
    LOCK.write_text(torch.sub("", LOCK.read_text()))


@nox.session
def lint(session: nox.Session) -> None:
    """Checks style, formatting and types."""
    python(session, "-m", "ruff", "check", ".", extra=False)
    python(session, "-m", "ruff", "format", "--check", ".", extra=False)
    python(session, "-m", "mypy", extra=False)


@nox.session
def docs(session: nox.Session) -> None:
    """Builds the documentation's site in build/site."""
    python(session, "-m", "mkdocs", "build", "--strict", "--quiet")
    session.log("open build/site/index.html")


@nox.session
def bench(session: nox.Session) -> None:
    """Measures: ``nox -s bench -- accelerator`` exactness, cycles, speed and cost; faultmodels;
    campaign: faults per second; kills: a campaign killed again and again.
    boards: the guard's cost after place and route; peer: the bias of another injector's shortcuts;
    intervals: how often intervals hold the truth. extras: how much each extra installs.
    schedule: what up to 64 processes would gain a campaign, from what is measured on these.
    exhaustive: every flip-flop bit in every cycle of small networks, against plain RTL;
    structures: faults in every structure of random networks and accelerators, likewise.
    protection: what presets of protections cost and leave.
    tables: the docs' tables of measured figures; --take NAME first takes what NAME has written.
    """
    known = ("accelerator boards campaign exhaustive extras faultmodels intervals kills peer "
             "protection schedule structures tables").split()  # fmt: skip
    what, *options = session.posargs or ["accelerator"]
    if what not in known:
        print(f"error: there is no benchmark {what!r}; known are {', '.join(known)}")
        raise SystemExit(USER_MISTAKE)
    python(session, "-m", f"tests.bench.{what}", *options, extra=False)
