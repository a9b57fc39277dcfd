"""Whatever is in a data file: valid images, or one sentence; no memory, no time, no other file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.base.living import IMPORTABLE

ROOT = Path(__file__).parents[2]


@pytest.mark.long(keep=1)
@pytest.mark.parametrize(
    "count", [500, 2000, pytest.param(20_000, marks=pytest.mark.slow)], ids=str
)
def test_mutated_data(tmp_path, count):
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    command = [sys.executable, "-m", "tests.nn.hostile_data", str(count), "7", str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=elsewhere, timeout=1200,
        env=os.environ | {"PYTHONPATH": IMPORTABLE, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["loaded"] > count / 20 and found["refused"] > count / 4
    assert found["megabytes"] < 1000
    assert found["slowest"] < 60
    assert not list(elsewhere.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"data", "elsewhere"}
    assert done.stderr == ""
