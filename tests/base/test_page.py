"""Reports: text stays text, tables and plots are whole."""

import csv
import io
import json
import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.base.figures import heat_map, intervals, scatter
from holdfast.base.page import Cell, count, render, script_data, share
from holdfast.base.text import printable
from tests.base.pages import HOSTILE, needs_nothing, parts

TEXTS = st.text(st.characters() | st.sampled_from("<>&\"'/!-") | st.sampled_from(["\ud800"]))
PAGE = """{% extends "base/page.html" %}
{% from "base/macros.html" import plot, table with context %}
{% block body %}<h1 title="{{ title }}">{{ title }}</h1>{{ table(headings, rows, total) }}
{% for name in figures %}{{ plot(name) }}{% endfor %}{% endblock %}
"""
RATES = [
    {"label": "a", "series": "x", "value": 50.0, "low": 40.0, "high": 60.0, "faults": 9},
    {"label": "b", "series": "x", "value": 0.0, "low": 0.0, "high": 0.5, "faults": 7},
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    from holdfast.base import page as module

    folder = tmp_path_factory.mktemp("pages")
    (folder / "page.html").write_text(PAGE)
    # FileSystemLoader takes what is joined to the root; an absolute folder would not be found.
    (folder / "base").symlink_to(module._ROOT / "base")
    before, module._ROOT = module._ROOT, folder

    def make(title="t", headings=(), rows=(), total=None, figures=()):
        return render(
            "page.html", title=title, headings=headings, rows=rows, total=total, figures=figures
        )

    yield make
    module._ROOT = before


@given(text=TEXTS | st.just(HOSTILE))
def test_text_stays_text(page, text):
    made = page(text, [text], [[text, Cell(text, "n" + text, 1)]])
    expected = page("t", ["t"], [["t", Cell("t", "n", 1)]])
    assert parts(made)[0] == parts(expected)[0]
    heading = re.search('<h1 title="(.*)">(.*)</h1>', made)
    assert [unescape(part) for part in heading.groups()] == [printable(text)] * 2


@given(text=TEXTS | st.just(HOSTILE))
def test_data_do_not_end_their_script(text):
    script = script_data({text: [text]})
    assert "<" not in script and script.isascii()
    assert json.loads(script) == {text: [text]}


def test_a_table_is_whole(page):
    made = page(headings=["name", "share"], rows=[["a", share(None)]], total=["all", count(1234)])
    assert '<td data-v="-1">-</td>' in made and '<td data-v="1234">1,234</td>' in made
    tags = [tag for tag, _ in parts(made)[0]]
    assert tags.count("td") == 4 and tags.count("tfoot") == 1
    exact = share({"value": 0.01234, "low": 0.005, "high": 0.02})
    assert exact == Cell("1.23%", "0.50% to 2.00%", 0.01234)


def test_a_page_needs_nothing_else(page):
    made = page(figures=[intervals("rates", "Rates", RATES)])
    assert needs_nothing(made) and not needs_nothing(made + '<a href="x">')
    assert "vegaEmbed" in made and "<figure" in made


def figures():
    cells = [{"x": x, "y": y, "AVF, %": 10.0 * x} for x in range(3) for y in range(2)]
    points = [
        {"name": "p", "lut": 10**n, "sdc1": 2.0, "sdc1 low": 1.0, "sdc1 high": 3.0, "guard": "off",
         "network": f"n{n}", "filled": n == 1, "point": n}
        for n in range(3)
    ]  # fmt: skip
    return {
        "intervals": intervals("rates", "Rates", RATES),
        "signed": intervals("rates", "Rates", RATES, signed=True),
        "heat_map": heat_map("heat", "Heat", cells, "x", "y", "AVF, %"),
        "scatter": scatter("s", "S", points, ("lut", "LUT"), ("sdc1", "SDC-1"), "guard", "network"),
    }


@pytest.mark.parametrize("kind", figures())
def test_a_figure_is_drawn_with_all_its_data(kind):
    figure = figures()[kind]
    svg = figure.svg()
    marks = {"intervals": 2, "signed": 2, "heat_map": 6, "scatter": 3}[kind]
    name = "cell" if kind == "heat_map" else "point"
    assert svg.startswith("<svg") and figure.title in svg
    found = re.findall(f'aria-roledescription="{"rect mark" if name == "cell" else "point"}"', svg)
    assert len(found) == marks
    rows = list(csv.DictReader(io.StringIO(figure.csv())))
    assert len(rows) == len(figure.rows)


def test_rates_over_decades_have_a_logarithmic_axis_with_zeros_at_their_limit():
    figure = intervals("rates", "Rates", RATES)
    axis = figure.spec["layer"][1]["encoding"]["x"]
    assert axis["scale"]["type"] == "log"
    zero = figure.rows[1]
    assert (zero["value"], zero["at"], zero["to"]) == (0.0, 0.5, 0.5) and zero["from"] > 0
    assert "upper limit" in figure.title
    near = intervals("rates", "Rates", RATES[:1])
    assert "type" not in near.spec["layer"][1]["encoding"]["x"]["scale"]
