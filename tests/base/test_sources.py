"""Sources are found from the imports, and every one of them counts."""

import importlib
import shutil
import sys
from pathlib import Path

import pytest

from holdfast.base.sources import outside_hash, source_hash, sources
from holdfast.gen.dataflow.weight_stationary import StationaryLatencies

ROOT = Path(__file__).parents[2]
TREE = {
    "low/__init__.py": "",
    "low/leaf.py": "VALUE = 1\n",
    "low/other.py": "",
    "low/late.py": "",
    "low/code.cpp": "int x;\n",
    "mid/__init__.py": "from holdfast.low import other\n",
    "mid/step.py": "import json\nfrom holdfast.low.leaf import VALUE\n",
    "mid/near.py": "def later():\n    from holdfast.low import late\n    return late\n",
    "mid/sub/__init__.py": "",
    "mid/sub/deep.py": "from ..step import VALUE\n",
    "top/__init__.py": "",
    "top/work.py": "import holdfast.mid.sub.deep\ndef run():\n    from holdfast.mid import near\n",
    "top/apart.py": "",
    "tests/__init__.py": "",
}


@pytest.fixture
def tree(tmp_path):
    def make(name, changed=None):
        for file, text in TREE.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + ("# other\n" if file == changed else ""))
        return tmp_path / name

    return make


def test_the_closure_of_a_module(tree):
    root = tree("a")
    found = {path.relative_to(root).as_posix() for path in sources("holdfast.top.work", root=root)}
    assert found == set(TREE) - {"top/apart.py", "tests/__init__.py"}
    leaf = {path.relative_to(root).as_posix() for path in sources("holdfast.low.leaf", root=root)}
    assert leaf == {"low/__init__.py", "low/leaf.py", "low/code.cpp"}
    assert {p.relative_to(root).as_posix() for p in sources(root=root)} == set(TREE) - {
        "tests/__init__.py"
    }


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ("low/leaf.py", True),
        ("low/other.py", True),
        ("low/code.cpp", True),
        ("mid/sub/deep.py", True),
        ("mid/near.py", True),
        ("top/apart.py", False),
    ],
)
def test_a_change_anywhere_below_is_seen(tree, changed, counts):
    before = source_hash("holdfast.top.work", root=tree("a"))
    assert before == source_hash("holdfast.top.work", root=tree("b"))
    after = source_hash("holdfast.top.work", root=tree("c", changed))
    assert (after != before) == counts


def test_a_name_that_does_not_exist(tree):
    for names in (
        ["holdfast.top.nothing"],
        ["holdfast.nothing"],
        ["holdfast.top.work", "holdfast.low.leaf.VALUE"],
    ):
        with pytest.raises(ImportError, match="has no module"):
            source_hash(*names, root=tree("a"))


def test_python_loads_no_more_of_ours_than_is_found():
    """What an interpreter has loaded after the import is the independent list."""
    import subprocess
    import sys

    script = (
        "import sys, holdfast.fault.campaign.workers, holdfast.explore.measurements.reliability\n"
        "print(*(m.__file__ for m in "
        "sys.modules.values() if getattr(m, '__file__', None)), sep='\\n')"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    loaded = {
        Path(line).resolve()
        for line in printed
        if Path(line).resolve().is_relative_to(ROOT / "fault")
    }
    loaded |= {
        Path(line).resolve() for line in printed if Path(line).resolve().is_relative_to(ROOT / "nn")
    }
    assert len(loaded) > 30
    assert loaded <= set(
        sources("holdfast.fault.campaign.workers", "holdfast.explore.measurements.reliability")
    )


def test_our_own_tree_is_the_same_elsewhere(tmp_path):
    for room in ("base", "gen", "nn", "sim", "fault"):
        shutil.copytree(
            ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("*.safetensors")
        )
    assert source_hash("holdfast.fault.campaign.workers", root=tmp_path) == source_hash(
        "holdfast.fault.campaign.workers"
    )
    with (tmp_path / "nn" / "graph" / "pixels.py").open("a") as file:
        file.write("\n")
    source_hash.cache_clear()
    assert source_hash("holdfast.fault.campaign.workers", root=tmp_path) != source_hash(
        "holdfast.fault.campaign.workers"
    )


def test_a_class_of_ones_own_counts_with_what_it_inherits_from(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def made(base, kind):
        (tmp_path / "own_base.py").write_text(f"class Base:\n    value = {base}\n")
        (tmp_path / "own_kind.py").write_text(
            f"from own_base import Base\n\nclass Kind(Base):\n    value = {kind}\n"
        )
        for name in ("own_base", "own_kind"):
            sys.modules.pop(name, None)
        return outside_hash(importlib.import_module("own_kind").Kind)

    assert made(1, 2) == made(1, 2)
    assert len({made(1, 2), made(1, 3), made(3, 2)}) == 3
    assert outside_hash() == outside_hash(StationaryLatencies)
    names = {"__name__": "nowhere"}
    exec("class Kind: pass", names)
    assert outside_hash(names["Kind"]) != outside_hash(names["Kind"])
