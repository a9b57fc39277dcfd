"""The wheel: it adds ``holdfast`` alone, and works where a user has folders of the same names."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OTHERS = (".*", "build", "*.egg-info", "__pycache__", "tests", "docs", "rtl")
ROOMS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*OTHERS))
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--no-index", "--wheel-dir", folder, folder / "source"],
        check=True,
    )  # fmt: skip
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """A Python that has the wheel, and all packages of this environment but ours."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    bin = folder / ("Scripts" if os.name == "nt" else "bin")
    paths = sysconfig.get_paths("venv", vars={"base": str(folder), "platbase": str(folder)})
    here = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    (Path(paths["purelib"]) / "borrowed.pth").write_text("\n".join(here))
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", bin / "python", "install", "--quiet",
         "--no-deps", "--no-index", "--disable-pip-version-check", wheel],
        check=True,
    )  # fmt: skip
    return bin / "python"


@pytest.fixture
def place(tmp_path):
    """A user's folder, whose own packages are not ours."""
    for name in ROOMS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise AssertionError('the user\\'s own')")
    return tmp_path


def ran(place, *command):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_adds_one_name(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"holdfast"}
    inside = {name.split("/")[1] for name in names if name.startswith("holdfast/")}
    assert inside == set(ROOMS)


def test_it_has_every_file_of_the_rooms(wheel):
    """Templates, models and C++ beside the Python."""
    kinds = (".py", ".cpp", ".hpp", ".html", ".js", ".css", ".safetensors", ".toml", ".pcf",
             ".lpf", ".cst", ".xdc")  # fmt: skip
    here = {
        f"holdfast/{path.relative_to(ROOT).as_posix()}"
        for room in ROOMS
        for path in (ROOT / room).rglob("*.*")
        if path.suffix in kinds
    }
    assert here - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_rooms_are_found_beside_a_users_own(python, place):
    rooms = ", ".join(f"holdfast.{name}" for name in ROOMS)
    told = ran(place, python, "-c", f"import {rooms}; print(holdfast.nn.__file__)")
    assert str(python.parent.parent) in told


@pytest.mark.long
def test_the_command(python, place):
    (place / "my.toml").write_text("rows = 2\ncols = 2\n")
    holdfast = python.with_name("holdfast")
    ran(place, holdfast, "generate", "--config", "my.toml", "--output", "out")
    assert "module holdfast" in (place / "out" / "holdfast.v").read_text()
    assert ran(place, holdfast, "--version").startswith("holdfast ")


@pytest.mark.slow
def test_a_simulation(python, place):
    """It compiles C++ that is in the wheel."""
    holdfast = python.with_name("holdfast")
    options = "--rows 2 --cols 2 --engine fast --layers logits --faults 0".split()
    ran(place, holdfast, "sim", *options)
    assert (place / "build" / "sim" / "summary.json").is_file()
    example = (
        "from holdfast.api import Accelerator, load, run\n"
        "found = run(load('resnet8'), Accelerator(rows=2, cols=2), layers=['logits'])\n"
        "print(found.exact, found.cycles > 0)"
    )
    assert ran(place, python, "-c", example) == "True True\n"
