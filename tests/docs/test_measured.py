"""Tables of measured figures say what was measured."""

import re

import pytest

from holdfast.base.errors import HoldfastError
from tests.bench import figures, tables
from tests.bench.tables import MEASURED, ROOT, TABLES, kept, with_table

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", TABLES)
def test_a_page_shows_what_was_measured(name):
    text = (ROOT / TABLES[name].page).read_text("utf-8")
    content = kept(name)
    assert with_table(name, text, content["figures"]) == text
    assert content["command"] and re.fullmatch("[0-9a-f]{7,}", content["commit"])


@pytest.mark.parametrize(
    ("name", "change", "shown"),
    [
        ("intervals", lambda f: f["groups"]["--stop-at"].update(least=0.5), "| 50.0 |"),
        ("piloted", lambda f: f["piloted"][3].update({"now coverage": 0.5}), "| 50.0 % |"),
        ("peer", lambda f: f["shares"]["tile"]["total"]["avf"].update(value=0.5), "| 50.00 ("),
        ("guard", lambda f: f["pairs"]["total"].update(detected=4321), "| 4,321 |"),
        ("guard_clock", lambda f: f["ulx3s"]["bare"].update(median_fmax_mhz=5), "| 5.00 ("),
        ("guard_area", lambda f: f["ulx3s"]["bare"].update(lut=4321), "| 4,321, 10,530 |"),
        ("ftt_gains", lambda f: f[9]["gain"].update(points=43.21), "| +43.2 ("),
        ("sim", lambda f: f.append("another line"), "\n    another line\n"),
        ("boards", lambda f: f[1].__setitem__(2, "4,321"), "| 4,321 |"),
    ],
)
def test_another_figure_is_another_table(name, change, shown):
    text, content = (ROOT / TABLES[name].page).read_text("utf-8"), kept(name)["figures"]
    change(content)
    assert shown not in text
    assert shown in with_table(name, text, content)


def test_every_measurement_has_its_table():
    sources = {table.source or name for name, table in TABLES.items()}
    assert {path.stem for path in MEASURED.iterdir()} == sources
    assert figures.TAKEN.keys() <= sources


def test_tables_with_intervals_are_measured():
    """An interval in a table of a page, outside the marks, would be kept up by hand."""
    for page in PAGES:
        rest = re.sub(r"<!-- measured: .*?<!-- end -->", "", page.read_text("utf-8"), flags=re.S)
        rows = [line for line in rest.splitlines() if line.lstrip().startswith("|")]
        assert not [row for row in rows if re.search(r"\d \([-\d.]+( to |-)[\d.]+\)", row)], page


def test_figures_of_shipped_networks_are_those_of_their_files():
    assert kept("shipped")["figures"] == figures.TAKEN["shipped"]()


def test_figures_are_taken_from_where_their_command_writes(tmp_path, monkeypatch):
    page, measured = tmp_path / "page.md", tmp_path / "measured"
    page.write_text("<!-- measured: campaign -->\n<!-- end -->\n")
    measured.mkdir()
    (measured / "campaign.json").write_text('{"command": "c", "commit": "", "figures": {}}')
    (tmp_path / "build/bench").mkdir(parents=True)
    (tmp_path / "build/bench/campaign.json").write_text(
        '{"n@1x2": {"faults_per_s": 1234.5, "flipflop_faults_per_s": 5, "speedup_vs_rtl": 6,'
        ' "speedup_vs_software": 7, "audit": {"checked": 8, "disagreements": 0}}}'
    )
    monkeypatch.chdir(tmp_path)
    table = tables.Table(str(page), figures.campaign)
    monkeypatch.setattr(tables, "TABLES", {"campaign": table})
    monkeypatch.setattr(tables, "MEASURED", measured)
    tables.tables(["campaign"])
    assert "| `n` on 1x2 | 1,234 | 5 | 6 | 7.0 | 0 of 8 |" in page.read_text()
    with pytest.raises(HoldfastError, match=r"--take must be one of .*, not 'nonsense'"):
        tables.tables(["nonsense"])
