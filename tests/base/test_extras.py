"""What is not installed is told with the extra that has it."""

import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from holdfast.base.errors import HoldfastError
from holdfast.base.extras import EXTRAS, needed
from tests.base.living import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {
    canonicalize_name(Requirement(line).name): extra
    for extra, lines in PROJECT["optional-dependencies"].items()
    if extra not in ("dev", "docs")
    for line in lines
    if not line.startswith("holdfast[")
}
WITHOUT = """
import sys
missing = set({missing!r})
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""
"""A program that begins with it has none of the extras."""


def without(program, folder, *missing):
    head = WITHOUT.format(missing=sorted(missing or EXTRAS))
    return subprocess.run(
        [sys.executable, "-c", head + program], cwd=folder, capture_output=True, text=True
    )


def test_every_package_of_an_extra_is_known():
    """Which modules a package has, it says itself."""
    found = {}
    for module, names in metadata.packages_distributions().items():
        for name in names:
            found.setdefault(canonicalize_name(name), set()).add(module)
    for name, extra in DISTRIBUTIONS.items():
        known = {EXTRAS[module] for module in found[name] if module in EXTRAS}
        assert known == {extra}, name


def test_no_extra_is_made_up():
    assert set(EXTRAS.values()) == set(DISTRIBUTIONS.values())


@pytest.mark.parametrize(("module", "extra"), EXTRAS.items())
def test_the_sentence_names_the_extra(module, extra):
    with pytest.raises(HoldfastError) as told, needed():
        raise ModuleNotFoundError(name=f"{module}.inside")
    assert str(told.value) == (
        f'{module} is not installed; `pip install "holdfast[{extra}]"` installs it.'
    )


@pytest.mark.parametrize("error", [ModuleNotFoundError(name="nonsense"), ImportError("torch")])
def test_other_errors_stay(error):
    with pytest.raises(type(error)) as found, needed():
        raise error
    assert found.value is error


@pytest.mark.parametrize(
    ("name", "missing", "extra"),
    [("train", "torch", "nn"), ("train", "brevitas", "nn"), ("bitstream", "edalize", "boards")],
)
def test_a_command_without_its_extra_ends_in_a_sentence(name, missing, extra, tmp_path):
    program = f"sys.argv[1:] = [{name!r}]\nfrom holdfast.cli import main\nsys.exit(main())"
    done = without(program, tmp_path, missing)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f'{missing} is not installed; `pip install "holdfast[{extra}]"` installs it.\n'
    )


@pytest.mark.long
def test_verilog_is_generated_without_any_extra(tmp_path):
    (tmp_path / "my.toml").write_text("rows = 2\ncols = 2\n")
    program = (
        "sys.argv[1:] = ['generate', '--config', 'my.toml', '--output', 'out']\n"
        "from holdfast.cli import main\nsys.exit(main())"
    )
    done = without(program, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "module holdfast" in (tmp_path / "out" / "holdfast.v").read_text()
