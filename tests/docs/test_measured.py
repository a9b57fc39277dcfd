"""Tables of measured figures say what was measured."""

import json

import pytest

from tests.bench.tables import MEASURED, ROOT, TABLES, with_table


@pytest.mark.parametrize("name", TABLES)
def test_a_page_shows_what_was_measured(name):
    text = (ROOT / TABLES[name].page).read_text("utf-8")
    content = json.loads((MEASURED / f"{name}.json").read_text("utf-8"))
    assert with_table(name, text, content) == text


def test_another_figure_is_another_table():
    text = (ROOT / TABLES["intervals"].page).read_text("utf-8")
    content = json.loads((MEASURED / "intervals.json").read_text("utf-8"))
    next(iter(content["groups"].values()))["least"] = 0.5
    changed = with_table("intervals", text, content)
    assert changed != text and "| 50.0 |" in changed


def test_every_measurement_has_its_table():
    assert {path.stem for path in MEASURED.iterdir()} == set(TABLES)
