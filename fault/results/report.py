"""A campaign's report: one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.base.html import Markup, html
from holdfast.fault.outcome.classify import EFFECTS
from holdfast.fault.sampling.plan import PHASES, Plan

from .tables import ratio

__all__ = ["page", "report", "table"]

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;
color:#1c2733;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid #d5dde5}
table{border-collapse:collapse;margin:.6rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.18rem .6rem;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
thead th{border-bottom:1px solid #9fb0c0;font-weight:600}
tr.total td{border-top:1px solid #9fb0c0;font-weight:600}
.heat td{padding:.1rem .35rem;font-size:.8rem;min-width:2.2rem;text-align:center}
.muted{color:#647587}code{background:#f0f3f6;padding:.1rem .3rem;border-radius:3px;
overflow-wrap:anywhere}
.bad{color:#b00020;font-weight:600}.scroll{overflow-x:auto}
svg text{font:11px system-ui,sans-serif;fill:#1c2733}
"""

Share = Mapping[str, float]


def report(
    summary: Mapping[str, Any],
    plan: Plan,
    command: str,
    pairs: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> str:
    """The page.

    Parameters
    ----------
    summary : Mapping
        From `fault.results.summary.summarize`, with its ``settings``.
    command : str
        What repeats the campaign.
    pairs : Mapping
        Comparisons by the first setting and the second; may be empty.
    """
    settings = summary["settings"]
    title = f"{settings['name']} on {settings['accelerator']}"
    audit = summary["audit"]
    level = f"{summary['confidence']:.0%}"
    wrong = audit["disagreements"]
    bits = summary["bits_by_structure"]
    verdict = (
        f"<span class=bad>{wrong} disagree with plain RTL: "
        f"{html(', '.join(audit['faults']))}</span>"
        if wrong
        else "all agree"
    )
    parts = [
        f"<h1>Fault campaign: {html(title)}</h1>",
        f"<p>{summary['faults']:,} faults on {summary['images']} image(s), of "
        f"{summary['population']:,} ({summary['bits']:,} bits x {summary['cycles']:,} cycles). "
        f"Intervals: {level}. {audit['checked']:,} faults computed again by plain RTL: {verdict}."
        "</p>",
        f"<p>Repeat it: <code>{html(command)}</code></p>",
        _settings(settings),
        "<h2>Effects by structure</h2>",
        _effects(summary),
        "<h2>SDC-1 and AVF by structure</h2>",
        _bars({n: e["shares"] for n, e in summary["structures"].items()}),
        *_comparison(pairs),
        "<h2>By layer, weighted by population</h2>",
        _profile(summary["layers"]),
        "<h2>By phase of a layer</h2>",
        _profile(summary["phases"]),
        "<h2>AVF: structure by phase</h2>",
        _structure_by("AVF, %", summary["phase_by_structure"], PHASES),
        "<h2>AVF: structure by bit</h2>",
        _structure_by(
            "AVF, %, by bit", bits, sorted({b for e in bits.values() for b in e}, key=int)
        ),
        "<h2>AVF of the processing elements</h2>",
        _elements(summary["processing_elements"]),
        "<h2>Registers and memories with the most SDC-1</h2>",
        _worst(summary["worst"]),
        "<h2>How faults were decided</h2>",
        _counts("path", summary["paths"]),
        "<h2>Where masked faults ended</h2>",
        _counts("ended", summary["died"]),
        "<h2>Accuracy</h2>",
        _accuracy(summary["accuracy"]),
        "<h2>Detection</h2>",
        _detection(summary),
        *_fit(summary),
        "<h2>Not injected</h2>",
        _missing(summary),
    ]
    return page(title, parts)


def page(title: str, parts: Sequence[str], style: str = "") -> str:
    """A whole HTML page that needs nothing else."""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>{html(title)}</title><style>{_STYLE}{style}</style><body>"
        + "\n".join(parts)
        + "</body></html>\n"
    )


def table(headings: list[str], rows: list[list[str]], last_is_total: bool = False) -> str:
    """A table; of its cells what is no `Markup` is escaped."""
    head = "".join(f"<th>{html(text)}</th>" for text in headings)
    body = []
    for index, row in enumerate(rows):
        mark = " class=total" if last_is_total and index == len(rows) - 1 else ""
        body.append(f"<tr{mark}>" + "".join(f"<td>{html(cell)}</td>" for cell in row) + "</tr>")
    return (
        f"<div class=scroll><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _percent(share: Share) -> Markup:
    return Markup(
        f"{share['value']:.2%} <span class=muted>{share['low']:.2%} to {share['high']:.2%}</span>"
    )


def _effects(summary: Mapping[str, Any]) -> str:
    headings = ["structure", "bits", "faults", *EFFECTS, "SDC-1", "undetected SDC-1", "AVF"]
    rows = []
    for name, entry in summary["structures"].items():
        rows.append(
            [name, f"{entry['bits']:,}", f"{entry['faults']:,}"]
            + [f"{entry['counts'][effect]:,}" for effect in EFFECTS]
            + [_percent(entry["shares"][kind]) for kind in ("sdc1", "undetected_sdc1", "avf")]
        )
    total = summary["total"]
    rows.append(
        ["weighted by population", f"{summary['bits']:,}", f"{summary['faults']:,}"]
        + [f"{total[effect]['value']:.2%}" for effect in EFFECTS]
        + [_percent(total[kind]) for kind in ("sdc1", "undetected_sdc1", "avf")]
    )
    return table(headings, rows, last_is_total=True)


def _bars(shares: Mapping[str, Mapping[str, Share]]) -> str:
    """Bars with their intervals."""
    width, left, height = 640, 150, 20
    top = max((entry["avf"]["high"] for entry in shares.values()), default=0.0) or 1.0
    lines = []
    for index, (name, entry) in enumerate(shares.items()):
        y = index * 2 * height
        lines.append(f'<text x="0" y="{y + 18}">{html(name)}</text>')
        for offset, kind, colour in ((4, "avf", "#7aa6c8"), (18, "sdc1", "#c0503c")):
            share = entry[kind]
            low, value, high = (left + width * share[k] / top for k in ("low", "value", "high"))
            middle = y + offset + 6
            lines.append(
                f'<rect x="{left}" y="{y + offset}" width="{value - left:.1f}" height="12" '
                f'fill="{colour}"/><line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" '
                f'y2="{middle}" stroke="#1c2733"/>'
            )
    size = len(shares) * 2 * height + 20
    legend = (
        f'<text x="{left}" y="{size - 4}">AVF (blue), SDC-1 (red); full width {top:.1%}; '
        "lines are intervals</text>"
    )
    return f'<svg width="{left + width + 10}" height="{size}">{"".join(lines)}{legend}</svg>'


def _comparison(pairs: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    parts = []
    for first, others in pairs.items():
        for second, entries in others.items():
            rows = [
                [
                    name,
                    f"{entry['faults']:,}",
                    str(entry["prevented"]),
                    str(entry["caused"]),
                    _percent(entry["difference"]),
                    ratio(entry["ratio"]),
                    str(entry["detected"]),
                    str(entry["false_alarms"]),
                ]
                for name, entry in entries.items()
            ]
            parts.append(f"<h2>Guard {html(second)} against {html(first)}, same faults</h2>")
            parts.append(
                table(
                    ["structure", "faults", "SDC-1 prevented", "caused", "difference", "ratio",
                     "detected", "false alarms"],
                    rows,
                    last_is_total=True,
                )
            )  # fmt: skip
    return parts


def _profile(profile: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [name, f"{entry['faults']:,}", _percent(entry["sdc1"]), _percent(entry["avf"])]
        for name, entry in profile.items()
    ]
    return table(["", "faults", "SDC-1", "AVF"], rows)


def _cell(value: float | None, title: str) -> str:
    if value is None:
        return '<td class="muted" title="no fault drawn">·</td>'
    shade = 97 - 55 * value**0.5
    colour = "#fff" if shade < 60 else "#1c2733"
    return (
        f'<td title="{html(title)}" style="background:hsl(12 70% {shade:.0f}%);color:{colour}">'
        f"{100 * value:.0f}</td>"
    )


def _heat(corner: str, columns: list[str], rows: list[tuple[str, list[str]]]) -> str:
    head = "".join(f"<th>{html(name)}</th>" for name in columns)
    body = "".join(f"<tr><th>{html(name)}</th>{''.join(cells)}</tr>" for name, cells in rows)
    return (
        "<div class=scroll><table class=heat><thead><tr>"
        f"<th>{html(corner)}</th>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _structure_by(
    corner: str, groups: Mapping[str, Mapping[str, Any]], columns: Sequence[str]
) -> str:
    """AVF of every structure by another property; groups by structure, then by column."""

    def cell(entry: Mapping[str, Any] | None) -> str:
        if entry is None:
            return _cell(None, "")
        return _cell(entry["avf"]["value"], f"{entry['faults']} faults")

    rows = [(name, [cell(entry.get(c)) for c in columns]) for name, entry in groups.items()]
    return _heat(corner, list(columns), rows)


def _elements(elements: list[Mapping[str, Any]]) -> str:
    if not elements:
        return "<p>No fault in a processing element.</p>"
    cells: dict[tuple[int, int], list[int]] = {}
    bits: dict[tuple[str, int], list[int]] = {}
    places: dict[tuple[str, int], list[int]] = {}
    for entry in elements:
        place = f"{entry['row']}.{entry['col']}"
        for total in (
            cells.setdefault((entry["row"], entry["col"]), [0, 0]),
            bits.setdefault((entry["register"], entry["bit"]), [0, 0]),
            places.setdefault((place, entry["bit"]), [0, 0]),
        ):
            total[0] += entry["faults"]
            total[1] += entry["avf"]

    def cell(total: list[int] | None) -> str:
        return _cell(total[1] / total[0] if total else None, f"{total[0]} faults" if total else "")

    height = 1 + max(row for row, _ in cells)
    width = 1 + max(col for _, col in cells)
    array = [
        (f"row {row}", [cell(cells.get((row, col))) for col in range(width)])
        for row in range(height)
    ]
    names = sorted({name for name, _ in bits})
    widest = 1 + max(bit for _, bit in bits)
    registers = [(name, [cell(bits.get((name, bit))) for bit in range(widest)]) for name in names]
    numbers = [str(bit) for bit in range(widest)]
    every = [
        (f"PE {row}.{col}", [cell(places.get((f"{row}.{col}", bit))) for bit in range(widest)])
        for row in range(height)
        for col in range(width)
    ]
    return (
        _heat("AVF, %", [f"col {col}" for col in range(width)], array)
        + _heat("AVF, %, by bit", numbers, registers)
        + "<details><summary>Every processing element by bit, all its registers</summary>"
        + _heat("AVF, %, by bit", numbers, every)
        + "</details>"
    )


def _worst(worst: list[Mapping[str, Any]]) -> str:
    if not worst:
        return "<p>No fault changed the class.</p>"
    rows = [
        [w["signal"], w["structure"], f"{w['faults']:,}", str(w["sdc1"]),
         _percent(w["share"])]
        for w in worst
    ]  # fmt: skip
    return table(["register or memory", "structure", "faults", "SDC-1", "share"], rows)


def _counts(heading: str, counts: Mapping[str, int]) -> str:
    total = sum(counts.values()) or 1
    rows = [[name, f"{n:,}", f"{n / total:.1%}"] for name, n in counts.items()]
    return table([heading, "faults", "share"], rows)


def _settings(settings: Mapping[str, Any]) -> str:
    """What was asked for, as far as it is not empty."""
    parts = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {_plain(v)}" for key, v in value.items() if v not in ((), ""))
        parts.append(f"<strong>{html(name)}</strong> {html(_plain(value))}")
    return f"<p>{'; '.join(parts)}.</p>"


def _plain(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "on", False: "off", None: "none"}[value]
    return f"{value:,}" if isinstance(value, int) else str(value)


def _accuracy(accuracy: Mapping[str, Any] | None) -> str:
    if accuracy is None:
        return "<p>The images have no labels.</p>"
    return (
        f"<p>{accuracy['golden']} of {accuracy['images']} images are classified rightly without a "
        f"fault; an upset costs {_percent(accuracy['drop'])} of accuracy, weighted by "
        "population.</p>"
    )


def _detection(summary: Mapping[str, Any]) -> str:
    total, latency = summary["total"], summary["detection_latency"]
    text = f"<p>Detected: {_percent(total['detected'])}; corrected: "
    text += f"{_percent(total['corrected'])}; false alarms: {_percent(total['false_alarm'])}, "
    text += "weighted by population. "
    if latency["seen"]:
        text += (
            f"Latency where RTL saw the flag ({latency['seen']:,} faults): median "
            f"{latency['median']:,.0f} cycles, at most {latency['largest']:,}."
        )
    return text + "</p>"


def _fit(summary: Mapping[str, Any]) -> list[str]:
    if "fit" not in summary:
        return []
    rates = summary["fit"]
    given = ", ".join(f"{name} {rate:g}" for name, rate in rates["per_megabit"].items())
    rows = [
        [name, *(f"{rate[kind]:.4g}" for kind in ("raw", "sdc1", "avf"))]
        for name, rate in rates.items()
        if name != "per_megabit"
    ]
    return [
        f"<h2>Failures in time</h2><p>From the raw rates given: {html(given)} FIT per "
        "2<sup>20</sup> bits.</p>",
        table(["structure", "raw FIT", "SDC-1", "AVF"], rows, last_is_total=True),
    ]


def _missing(summary: Mapping[str, Any]) -> str:
    excluded = summary["excluded_bits"]
    text = "Single-event transients in combinational logic; configuration memory of an FPGA; "
    text += "state outside the accelerator. "
    if excluded:
        listed = ", ".join(f"{html(name)} {bits:,}" for name, bits in excluded.items())
        text += f"Bits left out by the filters: {listed}."
    else:
        text += "No bit of the netlist was left out."
    return f"<p>{text}</p>"
