"""Plots as Vega-Lite specifications: one source for the page, for SVG and for CSV.

    figure = intervals("sdc1", "SDC-1 by structure", rows)
    Path("sdc1.svg").write_text(figure.svg())

Every plot shows counts and intervals of a point in its tooltip. Rates that span decades are drawn
on a logarithmic axis, where a rate of zero is drawn at the upper limit of its interval.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_DECADE = 10
_SEEN = "datum.value == datum.at"
_STEP = 22
"""Height of a row, and side of a cell, in pixels."""
_LEGEND = {"orient": "top", "columns": 3, "labelLimit": 140, "titleLimit": 0}
_COLOURS = ["#3b7dd8", "#d1495b", "#2a9d6f", "#b07aa1"]

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """Holds a plot and what it shows.

    Attributes
    ----------
    name : str
        Part of the names of its files.
    title : str
        What it shows, in a line.
    rows : sequence of mappings
        The data, as they are written to CSV.
    spec : dict
        Vega-Lite, without the data.
    """

    name: str
    title: str
    rows: Sequence[Row]
    spec: dict[str, Any]

    @property
    def vega_lite(self) -> dict[str, Any]:
        """Returns the whole specification."""
        return {**self.spec, "data": {"values": list(self.rows)}}

    def svg(self) -> str:
        """Returns the plot as SVG text."""
        # It loads tens of megabytes.
        import vl_convert

        fixed = {**self.vega_lite, "width": 640, "title": self.title, "background": "white"}
        return vl_convert.vegalite_to_svg(json.dumps(fixed))

    def csv(self) -> str:
        """Returns the data as CSV text with a heading."""
        text = io.StringIO()
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Shows the plot in a notebook."""
        return {
            "application/vnd.vegalite.v6+json": {**self.vega_lite, "title": self.title},
            "image/svg+xml": self.svg(),
        }


def intervals(
    name: str, title: str, rows: Sequence[Row], axis: str = "share, %", signed: bool = False
) -> Figure:
    """Points with their intervals, a line for each label, a colour for each series.

    Parameters
    ----------
    rows : sequence of mappings
        ``label``, ``series``, ``value``, ``low`` and ``high``, in per cent; whatever else a row
        has is shown in its tooltip.
    signed : bool
        Values may be below zero; else the axis is logarithmic where they span more than a decade.
    """
    positive = [row[key] for row in rows for key in ("value", "low", "high") if row[key] > 0]
    floor, top = min(positive, default=1.0), max(positive, default=1.0)
    log = not signed and top > _DECADE * floor
    drawn = []
    for row in rows:
        ends = {key: row[key] for key in ("value", "low", "high")}
        if log:
            ends = {key: value if value > 0 else floor for key, value in ends.items()}
            ends["value"] = row["value"] if row["value"] > 0 else ends["high"]
        at = {"value": "at", "low": "from", "high": "to"}
        drawn.append({**row, **{at[key]: value for key, value in ends.items()}})
    scale: dict[str, Any] = {"type": "log", "nice": False} if log else {"zero": True}
    labels = list(dict.fromkeys(row["label"] for row in rows))
    series = list(dict.fromkeys(row["series"] for row in rows))
    shared = {
        "y": {"field": "label", "type": "nominal", "sort": labels, "title": None,
              "axis": {"labelLimit": 220}},
        "yOffset": {"field": "series", "type": "nominal", "sort": series},
        "color": {"field": "series", "type": "nominal", "sort": series,
                  "scale": {"range": _COLOURS}, "legend": {"orient": "top", "title": None}},
        "tooltip": _tooltip(rows),
    }  # fmt: skip
    x = {"type": "quantitative", "scale": scale, "title": axis, "axis": {"labelFlush": True}}
    low, high = {"field": "from", **x}, {"field": "to"}
    layers = [
        {"mark": {"type": "rule", "strokeWidth": 2}, "encoding": {**shared, "x": low, "x2": high}},
        {"mark": {"type": "point", "size": 55},
         "encoding": {**shared, "x": {"field": "at", **x},
                      "shape": {"condition": {"test": _SEEN, "value": "circle"},
                                "value": "triangle-left"},
                      "fill": {"condition": {"test": _SEEN, "field": "series", "type": "nominal",
                                             "sort": series, "scale": {"range": _COLOURS},
                                             "legend": None},
                               "value": "transparent"}}},
    ]  # fmt: skip
    height = max(2, len(labels)) * _STEP * max(1.0, 0.6 * len(series))
    if log and any(row["value"] <= 0 for row in rows):
        title += " (triangle: none seen, at the upper limit of the interval)"
    return Figure(name, title, drawn, {"width": "container", "height": height, "layer": layers})


def heat_map(name: str, title: str, rows: Sequence[Row], x: str, y: str, value: str) -> Figure:
    """Cells whose colour is a value in per cent; what was not measured stays empty.

    Parameters
    ----------
    x, y, value : str
        Keys of the rows, which are also the axes' titles; columns and rows are in the order of
        their first appearance.
    """
    columns = list(dict.fromkeys(row[x] for row in rows))
    lines = list(dict.fromkeys(row[y] for row in rows))
    encoding = {
        "x": {"field": x, "type": "ordinal", "sort": columns,
              "axis": {"orient": "top", "labelAngle": 0, "labelOverlap": True}},
        "y": {"field": y, "type": "ordinal", "sort": lines, "axis": {"labelLimit": 220}},
        "color": {"field": value, "type": "quantitative", "legend": {"title": value},
                  "scale": {"scheme": "viridis", "domainMin": 0}},
        "tooltip": _tooltip(rows),
    }  # fmt: skip
    spec = {"width": "container", "height": _STEP * len(lines), "mark": "rect"}
    return Figure(name, title, rows, {**spec, "encoding": encoding})


def scatter(
    name: str,
    title: str,
    rows: Sequence[Row],
    x: tuple[str, str],
    y: tuple[str, str],
    shape: str,
    colour: str,
) -> Figure:
    """One measure against another, with intervals where they have any.

    Parameters
    ----------
    rows : sequence of mappings
        Measures by key, their intervals as ``KEY low`` and ``KEY high``, ``filled`` (bool) and
        ``point`` (int), by which plots of a page show what is picked in another.
    x, y : tuple of str
        Key and title of the axis.
    shape, colour : str
        Keys that choose them.
    """
    axes = {}
    for channel, (key, text) in (("x", x), ("y", y)):
        values = [row[key] for row in rows]
        log = min(values) > 0 and max(values) > _DECADE * min(values) / 2
        scale: dict[str, Any] = {"type": "log", "nice": False} if log else {"zero": False}
        axes[channel] = {"field": key, "type": "quantitative", "title": text,
                         "scale": {**scale, "padding": 12}}  # fmt: skip
    picked = {"condition": {"test": "!length(picked) || indexof(picked, datum.point) >= 0",
                            "value": 1}, "value": 0.15}  # fmt: skip
    kinds = {"field": colour, "type": "nominal", "sort": None, "legend": _LEGEND}
    shared = {"color": {**kinds, "scale": {"scheme": "tableau10"}}, "opacity": picked}
    layers: list[dict[str, Any]] = []
    for channel, (key, _) in (("x", x), ("y", y)):
        if any(f"{key} low" in row for row in rows):
            other = "y" if channel == "x" else "x"
            line = {channel: {**axes[channel], "field": f"{key} low"},
                    f"{channel}2": {"field": f"{key} high"}, other: axes[other]}  # fmt: skip
            layers.append(
                {"mark": {"type": "rule", "opacity": 0.4}, "encoding": {**shared, **line}}
            )
    layers.append(
        {"mark": {"type": "point", "size": 70, "cursor": "pointer"},
         "encoding": {**shared, **axes, "tooltip": _tooltip(rows),
                      "shape": {"field": shape, "type": "nominal", "sort": None,
                                "legend": _LEGEND},
                      "fill": {"condition": {"test": "datum.filled", **kinds, "legend": None},
                               "value": "transparent"}}}
    )  # fmt: skip
    spec = {"width": "container", "height": 280, "params": [{"name": "picked", "value": []}]}
    return Figure(name, title, rows, {**spec, "layer": layers})


def _tooltip(rows: Sequence[Row]) -> list[dict[str, Any]]:
    hidden = {"filled", "point"}
    keys = dict.fromkeys(key for row in rows for key in row if key not in hidden)
    numbers = {key for row in rows for key in row if isinstance(row[key], float)}
    return [{"field": k, **({"format": ".4~g"} if k in numbers else {})} for k in keys]
