"""JSON that is not as it was written is refused."""

import json
import random

import pytest

from holdfast.base.checked import read_checked, with_check
from holdfast.base.errors import HoldfastError
from holdfast.base.files import write_json
from tests.mutations import altered, harm

CONTENT = {"a": [1, 2.5, None, {"b": True}], "c": {"d": "e", "1": -1e-300}, "f": 0.1}


def test_read_back(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, with_check(CONTENT))
    assert read_checked(path, "summary") == CONTENT
    write_json(path, CONTENT)
    assert read_checked(path, "summary") == CONTENT


def check_mutations(path, count, seed):
    write_json(path, with_check(CONTENT | {1: (2, 3)}))
    whole, rng = path.read_bytes(), random.Random(seed)
    right = CONTENT | {"1": [2, 3]}
    assert read_checked(path, "summary") == right
    refused = 0
    for _ in range(count):
        harm(path, rng, altered)
        try:
            found = read_checked(path, "summary")
        except HoldfastError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 500
        else:
            # White space, or the name of the check, may be lost.
            assert found == {} or found.items() >= right.items()
        if path.is_dir():
            path.rmdir()
        path.write_bytes(whole)
    assert refused > count / 2


@pytest.mark.long
def test_mutations(tmp_path):
    check_mutations(tmp_path / "x.json", 2000, 1)


@pytest.mark.slow
def test_many_mutations(tmp_path):
    check_mutations(tmp_path / "x.json", 20_000, 2)


def test_no_numbers_that_json_lacks(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "x.json", with_check({"a": float("nan")}))
    assert json.loads("{}") == {} and not (tmp_path / "x.json").exists()
