"""Studies that users write: whole ones are read, others are one sentence."""

import os
import random

import pytest

from holdfast.base.errors import HoldfastError
from holdfast.base.text import printable
from holdfast.explore.study import Study
from tests.toml_mutations import mutated

WHOLE = """networks = ["resnet8"]
arrays = ["4x4", "8x8"]
guards = ["off", "bound"]
targets = ["ecp5"]
faults = 2000
minimum = 50
structures = []
images = 1
models = ["single-flip"]
model_images = 2000
seed = 1
audit = 0.001
[accelerator]
act_banks = 2
acc_depth = 512
"""


def check(count, path):
    source = random.Random(count)
    whole = 0
    for _ in range(count):
        path.write_bytes(mutated(source, WHOLE))
        try:
            points = Study.from_toml(path).points()
        except HoldfastError as error:
            told = printable(error)
            assert told.endswith(".") and len(told) < 1500, told
        else:
            whole += bool(points)
    assert 0 < whole < count / 2


def test_mutated_studies(tmp_path):
    check(2000, tmp_path / "study.toml")


@pytest.mark.slow
def test_many_mutated_studies(tmp_path):
    check(20_000, tmp_path / "study.toml")


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "absent", "/dev/zero", "/dev/null"):
        with pytest.raises(HoldfastError, match="cannot read study"):
            Study.from_toml(type(tmp_path)(path))
