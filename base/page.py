"""Reports as one HTML file each, which needs nothing else: jinja2 templates, Vega-Lite plots.

    text = render("fault/results/report.html", title="Campaign", figures=[...], ...)

A template extends ``base/page.html``, which has style, plots and sortable tables. All text is
escaped; what users name may hold anything.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .figures import Figure
from .text import printable

_ROOT = Path(__file__).resolve().parents[1]


class Cell(NamedTuple):
    """Fills a cell of a table: what it says, a remark behind it, and what it is sorted by."""

    text: str
    note: str = ""
    key: float | None = None


def share(estimate: Mapping[str, float] | None) -> Cell:
    """Returns a share in per cent with its interval; of none a dash, sorted last."""
    if estimate is None:
        return Cell("-", key=-1)
    low, high = estimate["low"], estimate["high"]
    return Cell(f"{estimate['value']:.2%}", f"{low:.2%} to {high:.2%}", estimate["value"])


def count(number: int) -> Cell:
    """Returns a count with its thousands set apart."""
    return Cell(f"{number:,}", key=number)


def render(template: str, *, title: str, figures: Sequence[Figure] = (), **values: Any) -> str:
    """Returns a page.

    Parameters
    ----------
    template : str
        Path of the template below the folder of the rooms.
    figures : sequence of Figure
        Plots that the template places by name: ``{{ plot("name") }}``.
    values
        What else the template asks for.
    """
    environment = Environment(
        loader=FileSystemLoader(_ROOT),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else printable(value),
    )
    environment.tests["cell"] = lambda value: isinstance(value, Cell)
    data = {figure.name: {"title": figure.title, "spec": figure.vega_lite} for figure in figures}
    return environment.get_template(template).render(
        title=title,
        figures={figure.name: figure for figure in figures},
        data=script_data(data),
        library=_vega() if figures else "",
        **values,
    )


def script_data(value: Any) -> Markup:
    """Returns JSON that no text in it can end the script around, or begin another."""
    return Markup(json.dumps(value, allow_nan=False).replace("<", "\\u003c"))


@cache
def _vega() -> Markup:
    # It loads tens of megabytes.
    import vl_convert

    return Markup(
        vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace(
            "</script", "<\\/script"
        )
    )
