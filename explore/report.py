"""The exploration's report: linked plots, a sortable table and the guard's effect, in one file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.base.html import Markup, html, script_data
from holdfast.fault.results.report import page, table
from holdfast.fault.results.tables import ratio
from holdfast.nn.errors.stuck_pes import STUCK_PES

__all__ = ["report"]

_STYLE = """
body{max-width:96rem}
#plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(22rem,1fr));gap:.5rem}
.plot{width:100%;background:#fff}.plot .grid{stroke:#e8edf2}.plot .name{font-weight:600}
.plot .interval{stroke-opacity:.35}.mark{cursor:pointer;stroke-width:1.6}
.picked .mark{opacity:.25}.mark.on,.picked .mark.on{opacity:1;stroke-width:3}
.mark.on .interval{stroke-opacity:1}.hidden{display:none}
#points th{cursor:pointer}#points th:hover{background:#eef2f6}
tr.on td{background:#fff3d6}tr.pinned td{background:#ffe2a0}
#choices label{margin-right:.6rem;white-space:nowrap}
"""
_NAMES = {
    "accuracy": "accuracy, %",
    "sdc1": "SDC-1, %",
    "lut": "look-up tables",
    "cycles": "cycles",
}
_PLOTS = (
    {"x": "lut", "y": "accuracy", "xlog": True},
    {"x": "cycles", "y": "accuracy", "xlog": True},
    {"x": "sdc1", "y": "accuracy"},
    {"x": "lut", "y": "sdc1", "xlog": True},
    {"x": "cycles", "y": "lut", "xlog": True, "ylog": True},
    {"x": "cycles", "y": "sdc1", "xlog": True},
)
_SHARE = ("value", "low", "high")


def report(summary: Mapping[str, Any]) -> str:
    """The page of an exploration's summary."""
    points, study = summary["points"], summary["study"]
    shown = [_shown(point) for point in points]
    data = {"points": shown, "plots": _PLOTS, "names": _NAMES}
    text = script_data(data)
    script = Path(__file__).with_name("report.js").read_text(encoding="utf-8")
    target = study["targets"][0]
    faults = f"{study['faults']:,} upsets" if study["faults"] else "no upsets"
    front = ", ".join(_NAMES[name].partition(",")[0] for name in summary["front_of"])
    parts = [
        f"<h1>Exploration: {len(points)} points</h1>",
        f"<p>Networks {html(', '.join(dict.fromkeys(p['network'] for p in points)))}; arrays "
        f"{html(', '.join(study['arrays']))}; guard {html(', '.join(study['guards']))}. "
        f"Look-up tables after synthesis for {html(target)}. {faults} in whole inferences per "
        "network and array, the same under every guard setting of a netlist, seed "
        f"{study['seed']}; intervals 95 %.</p>",
        f"<p>Repeat it: <code>{html(summary['command'])}</code></p>",
        f"<p>Filled marks: no other point is as good in all of {html(front)} and better in one. "
        "Circles: guard off; diamonds: fixed; squares: bound; triangles: zero. "
        "Point at a mark or a row to find it everywhere, click to keep it, click a heading to "
        "sort.</p>",
        "<div id=choices></div><div id=plots></div>",
        "<h2>Points</h2>",
        _points(points, target),
        "<h2>The guard on the same upsets</h2>",
        _pairs(points),
        *_models(points, study["models"]),
        "<h2>Area after synthesis</h2>",
        _area(points, study["targets"]),
        *_absent(points),
        f"<script>const DATA={text};\n{script}</script>",
    ]
    return page(f"Exploration of {len(points)} points", parts, _STYLE)


def _shown(point: Mapping[str, Any]) -> dict[str, Any]:
    """What the plots need; values with their interval."""
    sets = (point["accuracy"] or {}).get("sets")
    sdc1 = _sdc1(point)
    lut = next(iter(point["area"].values()))["lut"]
    values: dict[str, list[float] | None] = {
        "accuracy": [sets[0][k] for k in ("percent", "low", "high")] if sets else None,
        "sdc1": [100 * sdc1[k] for k in _SHARE] if sdc1 else None,
        "lut": [lut] * 3,
        "cycles": [point["cycles"]] * 3,
    }
    told = [f"{_NAMES[k]} {v[0]:,.5g}" for k, v in values.items() if v]
    return {
        "network": point["network"],
        "array": _array(point),
        "guard": point["guard"],
        "front": point["front"],
        "title": "\n".join([point["name"], *told]),
        "values": values,
    }


def _points(points: Sequence[Mapping[str, Any]], target: str) -> str:
    sets = dict.fromkeys(s["data"] for p in points for s in (p["accuracy"] or {}).get("sets", ()))
    headings = ["network", "array", "guard", "bits", *(f"accuracy {name}" for name in sets)]
    headings += ["SDC-1", "SDC-1 of activations", "AVF", f"LUT {target}", "FF", "DSP", "memories",
                 "cycles", "ms placed", "front"]  # fmt: skip
    rows = []
    for index, point in enumerate(points):
        found = {s["data"]: s for s in (point["accuracy"] or {}).get("sets", ())}
        config, area = point["config"], point["area"][target]
        campaign = point["campaign"]
        cells = [_cell(point["network"]), _cell(_array(point), config["rows"] * config["cols"])]
        cells += [_cell(point["guard"]), _cell(f"a{config['act_bits']} w{config['weight_bits']}")]
        for name in sets:
            entry = found.get(name)
            cells.append(
                _cell(
                    Markup(
                        f"{entry['percent']:.2f} <span class=muted>{entry['low']:.2f} to "
                        f"{entry['high']:.2f}</span>"
                    ),
                    entry["percent"],
                )
                if entry
                else _cell("-", -1)
            )
        for part, kind in (("all", "sdc1"), ("activations", "sdc1"), ("all", "avf")):
            share = campaign[part]["total"][kind] if campaign and part in campaign else None
            cells.append(_cell(_percent(share), share["value"]) if share else _cell("-", -1))
        for name in ("lut", "ff", "dsp", "mem"):
            cells.append(_cell(f"{area[name]:,}", area[name]))
        cells.append(_cell(f"{point['cycles']:,}", point["cycles"]))
        times = point["milliseconds"]
        cells.append(
            _cell(
                ", ".join(
                    f"{ms:.3g} ({board}, {point['clock_mhz'][board]:.1f} MHz)"
                    for board, ms in times.items()
                )
                or "-",
                min(times.values(), default=1e9),
            )
        )
        cells.append(_cell("yes" if point["front"] else ""))
        rows.append(f"<tr data-i={index}>{''.join(cells)}</tr>")
    head = "".join(f"<th>{html(text)}</th>" for text in headings)
    return (
        f"<div class=scroll><table id=points><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _pairs(points: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for point in points:
        for part, what in (("all", "all"), ("activations", "activations")):
            entry = (point["campaign"] or {}).get(part)
            if not entry or "pairs" not in entry:
                continue
            total = entry["pairs"]["total"]
            rows.append(
                [point["name"], what, f"{total['faults']:,}",
                 *(f"{share:.3%}" for share in total["sdc1"]), str(total["prevented"]),
                 str(total["caused"]), _percent(total["difference"]), ratio(total["ratio"])]
            )  # fmt: skip
    if not rows:
        return "<p>No campaign with two guard settings.</p>"
    return table(
        ["point", "upsets in", "upsets", "SDC-1 before", "with it", "prevented", "caused",
         "difference", "ratio"],
        rows,
    )  # fmt: skip


def _models(points: Sequence[Mapping[str, Any]], models: Sequence[str]) -> list[str]:
    parts = []
    for model in models:
        rows: dict[tuple[str, str], list[str]] = {}
        for point in points:
            name = point["network"]
            if model.startswith(STUCK_PES):
                name += f" {_array(point)}"
            entry = point["models"][model]
            change = entry.get("ratio")
            accuracy = entry.get("faulty_accuracy")
            rows[name, point["guard"]] = [
                name, point["guard"], f"{entry['images']:,} {entry['set']}",
                _percent(entry["sdc1"]),
                _percent(entry["clean_accuracy"]) if accuracy else "-",
                _percent(accuracy) if accuracy else "-",
                str(entry.get("prevented", "")), str(entry.get("caused", "")),
                ratio(change) if change else "",
            ]  # fmt: skip
        parts.append(f"<h2>Fault model at network level: {html(model)}</h2>")
        parts.append(
            table(["network", "guard", "images", "SDC-1", "accuracy", "under faults", "prevented",
                   "caused", "ratio"], list(rows.values()))
        )  # fmt: skip
    return parts


def _area(points: Sequence[Mapping[str, Any]], targets: Sequence[str]) -> str:
    rows: dict[str, list[str]] = {}
    for point in points:
        config = point["config"]
        fixed = "" if config["learnt_bounds"] else " of fixed bounds"
        guard = f"guard{fixed}" if config["guard"] else "no guard"
        name = f"{_array(point)} a{config['act_bits']} w{config['weight_bits']} {guard}"
        for target in targets:
            area = point["area"][target]
            rows.setdefault(
                f"{target} {name} {config['acc_bits']}",
                [target, name, str(config["acc_bits"])]
                + [f"{area[k]:,}" for k in ("lut", "ff", "dsp", "mem")],
            )
    return table(
        ["target", "accelerator", "accumulator bits", "LUT", "FF", "DSP", "memories"],
        list(rows.values()),
    )


def _absent(points: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = {
        f"<li>{html(point['name'])}: {html(what)}, because {html(why)}.</li>"
        for point in points
        for what, why in point["absent"].items()
    }
    return [f"<h2>Not measured</h2><ul>{''.join(sorted(lines))}</ul>"] if lines else []


def _sdc1(point: Mapping[str, Any]) -> Mapping[str, float] | None:
    campaign = point["campaign"]
    return campaign["all"]["total"]["sdc1"] if campaign else None


def _array(point: Mapping[str, Any]) -> str:
    return f"{point['config']['rows']}x{point['config']['cols']}"


def _cell(text: object, value: float | None = None) -> str:
    key = "" if value is None else f" data-v={value}"
    return f"<td{key}>{html(text)}</td>"


def _percent(share: Mapping[str, float]) -> Markup:
    return Markup(
        f"{share['value']:.2%} <span class=muted>{share['low']:.2%} to {share['high']:.2%}</span>"
    )
