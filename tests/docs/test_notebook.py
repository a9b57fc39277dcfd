"""The notebook runs, and shows what it shows in its stored outputs."""

import copy
import json
from pathlib import Path

import pytest

from holdfast.nn.data import cifar
from tests.docs.notebook import executed

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"


def texts(notebook):
    return [
        (cell["source"], [output["data"]["text/plain"] for output in cell["outputs"]])
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]


def test_cells_are_executed_with_what_is_before_them():
    cells = ["x = 2", "print(x)\nx + 1", "None"]
    notebook = {"cells": [{"cell_type": "code", "source": [text]} for text in cells]}
    found = [cell["outputs"] for cell in executed(notebook)["cells"]]
    assert found[0] == found[2] == []
    assert found[1][0]["text"] == "2\n" and found[1][1]["data"] == {"text/plain": "3"}


def test_outputs_are_stored():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert {cell["execution_count"] for cell in cells if cell["cell_type"] == "code"} >= {1, 2, 3}


@pytest.mark.slow
def test_the_tutorial(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "_SHARED", tmp_path / "absent")
    monkeypatch.delenv("HOLDFAST_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    stored = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert texts(executed(copy.deepcopy(stored))) == texts(stored)
