"""The lock file covers what pyproject.toml asks for, by hash, and names no machine."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# Its CPU and CUDA builds have other hashes; pyproject.toml pins the version.
OUTSIDE = {"torch"}


def locked() -> dict[str, tuple[Requirement, str]]:
    """Requirement and lines of hashes of each entry, by name."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.findall(r"^(\S[^\n]*?) \\\n((?:    [^\n]*\n)+)", text, re.MULTILINE)
    assert "".join(f"{head} \\\n{hashes}" for head, hashes in entries) == text
    found = [(Requirement(head), hashes) for head, hashes in entries]
    return {canonicalize_name(requirement.name): (requirement, h) for requirement, h in found}


def test_every_requirement_is_locked_at_an_allowed_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    entries = locked()
    for line in wanted:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if name == "holdfast":
            # An extra that holds others.
            assert requirement.extras <= project["project"]["optional-dependencies"].keys()
            continue
        if name in OUTSIDE:
            assert [s.operator for s in requirement.specifier] == ["=="] and name not in entries
            continue
        (pin,) = entries[name][0].specifier
        assert pin.operator == "==" and requirement.specifier.contains(pin.version), line


def test_every_entry_has_hashes_and_nothing_else():
    for requirement, hashes in locked().values():
        (pin,) = requirement.specifier
        assert pin.operator == "==" and requirement.url is None
        assert re.fullmatch(r"(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", hashes), requirement
