"""Figures of the docs' tables: what is taken of a benchmark's files, and the lines made of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from holdfast.base.statistics import Sample, share
from holdfast.constraints.boards import find_board
from holdfast.nn.graph import shipped as networks

Lines = list[list[str]]
Figures = Mapping[str, Any]


def _percent(entry: Figures, digits: int = 2) -> str:
    """A share and its interval in per cent."""
    value, low, high = (f"{100 * entry[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _ratio(entry: Figures | None) -> str:
    if entry is None:
        return "-"
    if entry["high"] is None:
        return f"above {entry['low']:.2f}"
    return "{value:.2f} ({low:.2f} to {high:.2f})".format(**entry)


def intervals(content: Figures) -> Lines:
    """How often intervals hold the truth, by group of simulated campaigns."""
    lines = [["campaigns", "points", "least", "mean", "under 94 %", "former: least",
              "under 94 %", "width"]]  # fmt: skip
    for name, group in content["groups"].items():
        cells = [name, f"{group['points']:,}", f"{100 * group['least']:.1f}",
                 f"{100 * group['mean']:.1f}", str(group["below 94 %"])]  # fmt: skip
        former = ["", "", ""]
        if "former least" in group:
            former = [f"{100 * group['former least']:.1f}", str(group["former below 94 %"]),
                      f"{group['width where right before']:.2f}"]  # fmt: skip
        lines.append(cells + former)
    return lines


def piloted(content: Figures) -> Lines:
    """What a pilot saves, where the unseen is as frequent as half a fault and ten times that."""
    lines = [["faults, with the pilot's", "as many in proportion", "intervals that hold the truth",
              "if the unseen is ten times as frequent"]]  # fmt: skip
    points = {(point["unseen"], point["faults"]): point for point in content["piloted"]}
    for (unseen, faults), point in points.items():
        if unseen == 1:
            every = faults + content["pilot faults"]
            plain = point["plain faults"] * (point["plain width"] / point["now width"]) ** 2
            held = (point, points[10, faults])
            lines.append(
                [f"{every:,}", f"{plain:,.0f} ({plain / every:.1f} times)",
                 *(f"{100 * p['now coverage']:.1f} %" for p in held)]
            )  # fmt: skip
    return lines


def guard(content: Figures) -> Lines:
    """The same faults with the guard off and on."""
    pairs, totals = content["pairs"], content["totals"]
    whole = pairs["total"]
    kinds = {name: entry for name, entry in pairs.items() if name != "total"}
    sdc1 = {name: entry["sdc1"] for name, entry in kinds.items() if any(entry["sdc1"])}
    alarms = {n: e["false_alarms"] for n, e in kinds.items() if e["false_alarms"]}
    many = f"{content['outcomes']:,}"

    def where(key: str) -> str:
        found = ", ".join(f"`{name}`" for name, entry in kinds.items() if entry[key])
        return f"{whole[key]} ({found})" if found else str(whole[key])

    def both(key: str, text: str) -> list[str]:
        return [text.format(_percent(totals[setting][key])) for setting in ("off", "bound")]

    points = "{value:.2f} points ({low:.2f} to {high:.2f})"
    changed = {key: 100 * whole["difference"][key] for key in ("value", "low", "high")}
    costs = [
        points.format(**{k: 100 * v for k, v in totals[setting]["accuracy"].items()})
        for setting in ("off", "bound")
    ]
    first, *others = sorted(sdc1.items(), key=lambda item: -item[1][0])
    return [
        ["", "guard off", "guard on (`bound`)"],
        ["outcomes: faults x images", many, many],
        ["SDC-1", *(str(sum(counts[side] for counts in sdc1.values())) for side in (0, 1))],
        [f"of them in `{first[0]}`", *map(str, first[1])],
        *([f"in `{name}`", *map(str, counts)] for name, counts in others),
        ["SDC-1, weighted by population, %", *both("sdc1", "{}")],
        ["wrong output or end (AVF), weighted, %", *both("avf", "{}")],
        ["what an upset costs in accuracy, weighted", *costs],
        ["SDC-1 that the guard prevented", "", where("prevented")],
        ["SDC-1 that the guard caused", "", where("caused")],
        ["SDC-1 with the guard over SDC-1 without", "", _ratio(whole["ratio"])],
        ["SDC-1 with the guard less SDC-1 without", "", points.format(**changed)],
        ["detected", "", f"{whole['detected']:,}"],
        ["of them false alarms", "", f"{whole['false_alarms']:,}"],
        *([f"false alarms in `{name}`", "", f"{count:,}"] for name, count in alarms.items()),
    ]


def campaign(content: Figures) -> Lines:
    """How fast campaigns are."""
    lines = [["network", "upsets per second", "in flip-flops alone", "times plain RTL",
              "times software alone", "disagreements of the audit"]]  # fmt: skip
    for name, entry in content.items():
        network, size = name.split("@")
        audit = entry["audit"]
        lines.append(
            [f"`{network}` on {size}", f"{entry['faults_per_s']:,.0f}",
             f"{entry['flipflop_faults_per_s']:,.0f}", f"{entry['speedup_vs_rtl']:,.0f}",
             f"{entry['speedup_vs_software']:.1f}",
             f"{audit['disagreements']} of {audit['checked']:,}"]
        )  # fmt: skip
    return lines


_ARMS = {
    "exact": "exact", "first-mac": "`first-mac`", "slice": "`slice`", "tile": "`tile`",
    "peer": "`first-mac` and `tile`: the injector",
}  # fmt: skip


def peer(content: Figures) -> Lines:
    """Campaigns with another injector's shortcuts beside the exact one."""
    bias = {
        (row["structure"], row["second"], row["kind"]): row["ratio"]
        for row in content["bias"]
        if row["first"] == "exact"
    }
    lines = [["structure", "campaign", "AVF", "ratio", "SDC-1", "ratio"]]
    for structure in ("total", "weight", "partial_sum", "pe_activation"):
        for arm, title in _ARMS.items():
            name = "all" if structure == "total" else f"`{structure}`"
            cells = [name if arm == "exact" else "", title]
            for kind in ("avf", "sdc1"):
                against = "" if arm == "exact" else _ratio(bias[structure, arm, kind])
                cells += [_percent(content["shares"][arm][structure][kind]), against]
            lines.append(cells)
    return lines


def _board(name: str, entry: Figures) -> str:
    return f"{find_board(name).title}, {entry['config']['rows']}x{entry['config']['cols']}"


def guard_area(content: Figures) -> Lines:
    """Look-up tables and flip-flops of boards without guard and with either."""
    lines = [["board", "no guard", "fixed bounds (`learnt_bounds = false`)", "learnt bounds"]]
    for name, entry in content.items():
        bare = entry["bare"]
        cells = [_board(name, entry), f"{bare['lut']:,}, {bare['ff']:,}"]
        for cost in (entry["guard"], entry["learnt_bounds"]):
            cells.append(", ".join(
                f"{cost[key]:,} ({100 * (cost[key] / bare[key] - 1):+.1f} %)"
                for key in ("lut", "ff")
            ))  # fmt: skip
        lines.append(cells)
    return lines


def guard_clock(content: Figures) -> Lines:
    """Clocks of boards without guard and with fixed bounds."""
    lines = [["board", "no guard", "fixed bounds", ""]]
    for name, entry in content.items():
        if "fmax_mhz" in entry["bare"]:
            both = [entry["bare"], entry["guard"]]
            medians = [part["median_fmax_mhz"] for part in both]
            lines.append(
                [_board(name, entry), *(
                    f"{part['median_fmax_mhz']:.2f} ({min(part['fmax_mhz']):.2f} to "
                    f"{max(part['fmax_mhz']):.2f})" for part in both
                ), f"{100 * (medians[1] / medians[0] - 1):+.1f} %"]
            )  # fmt: skip
    return lines


_EXTRAS = {
    "none": "`holdfast generate`; reading campaigns and explorations",
    "nn": "networks: `train`, `ptq`, `ftt`, the golden model",
    "report": "plots in reports, and as SVG",
    "sim": "`sim`, `campaign`, `calibrate`; holds `nn` and `report`",
    "area": "synthesis: look-up tables, multipliers and memories of a design",
    "explore": "`explore`, `recommend`; holds `sim` and `area`",
    "boards": "`bitstream`, and `run` together with `nn`; holds `area`",
    "dask": "one campaign on several machines",
    "all": "everything",
}


def extras(content: Figures) -> Lines:
    """Sizes of the extras."""
    return [
        ["extra", "packages", "size", "what it is for"],
        *(
            [name if name == "none" else f"`{name}`", str(content[name]["packages"]),
             f"{content[name]['bytes'] / 1e6:,.0f} MB", use]
            for name, use in _EXTRAS.items()
        ),
    ]  # fmt: skip


def _ftt(content: Sequence[Figures], data: str, gains: bool) -> Lines:
    """Accuracy of every network and training by faults, or the gains over clean training."""
    columns = list(dict.fromkeys((row["faults"], row["rate"]) for row in content))
    titles = [f"`{name}` {rate}" if rate else "no faults" for name, rate in columns]
    rows = {
        (row["network"], row["training"], row["faults"], row["rate"]): row
        for row in content
        if row["data"] == data
    }
    lines = [["network", "trained", *titles]]
    for network in dict.fromkeys(row["network"] for row in content):
        for training in ("clean", "mibb", "adsaf")[gains:]:
            cells = []
            for column in columns:
                row = rows[network, training, *column]
                if gains:
                    cells.append("{points:+.1f} ({low:.1f} to {high:.1f})".format(**row["gain"]))
                else:
                    cells.append("{percent:.1f} ({low:.0f}-{high:.0f})".format(**row))
            lines.append([f"`{network}`", training, *cells])
    return lines


FTT: dict[str, Callable[[Any], Lines]] = {
    "ftt": partial(_ftt, data="JPEG-q75", gains=False),
    "ftt_exact": partial(_ftt, data="exact-932", gains=False),
    "ftt_gains": partial(_ftt, data="JPEG-q75", gains=True),
}


def shipped(content: Figures) -> Lines:
    """Accuracies of the shipped networks."""
    forms = {"float": "float", "fake_quantized": "fake-quantized", "integer": "integer"}
    lines = [["network", "images", "count", *forms.values(), "same class"]]
    for name, entry in content.items():
        for number, test in enumerate(entry["accuracy"]["integer"]):
            count = test["images"]
            cells = []
            for form in forms:
                percent = entry["accuracy"][form][number]["percent"]
                hits = round(percent * count / 100)
                cells.append(_percent(vars(share(Sample.counted(hits, count)))))
            lines.append(
                [f"`{name}`", test["data"], f"{count:,}", *cells,
                 f"{entry['agreement'][test['data']]:.2f}"]
            )  # fmt: skip
    return lines


def ptq(content: Sequence[Figures]) -> Lines:
    """Accuracy after quantization without training, by widths."""
    widths = sorted({row["act_bits"] for row in content}, reverse=True)
    lines: dict[tuple[str, str, str], list[str]] = {}
    for row in content:
        key = row["weights"], row["scales"], row["clip"]
        lines.setdefault(key, [*key]).append(f"{row['percent']:.1f}")
    rows = sorted(lines.values(), key=itemgetter(0, 1))
    return [["weights", "scales", "clip", *map(str, widths)], *rows]


def faultmodels(content: Figures) -> Lines:
    """What faulty passes cost."""
    lines = [["fault model", "rate", "faulty training pass / plain one",
              "images per second / clean"]]  # fmt: skip
    for name, entry in content.items():
        title, rate = f"`{name}`", f"{entry['rate']:g}" if entry["rate"] else ""
        if name == "calibrated":
            title, rate = f"{title}, every image corrupted", ""
        times = (entry["train_pass_ratio"], entry["evaluation_ratio"])
        lines.append([title, rate, *(f"{value:.2f}" for value in times)])
    return lines


def _json(file: str) -> Any:
    return json.loads(Path(file).read_text("utf-8"))


def _taken_intervals() -> Figures:
    content = _json("build/bench/intervals.json")
    pilot = [point for point in content["points"] if point["group"] == "draws by a pilot"]
    return {"groups": content["groups"], "piloted": pilot, "pilot faults": 4357}


def _taken_peer() -> Figures:
    content = _json("build/bench/peer.json")
    shares = {
        arm: {"total": campaign["total"]}
        | {name: entry["shares"] for name, entry in campaign["structures"].items()}
        for arm, campaign in content["campaigns"].items()
        if arm in _ARMS
    }
    kinds = ("avf", "sdc1")
    return {
        "shares": {
            arm: {name: {kind: entry[kind] for kind in kinds} for name, entry in found.items()}
            for arm, found in shares.items()
        },
        "bias": content["bias"],
    }


def _taken_guard() -> Figures:
    folder = "build/campaign/compare"
    summaries = {name: _json(f"{folder}/guard_{name}/summary.json") for name in ("off", "bound")}
    return {
        "outcomes": summaries["off"]["faults"] * summaries["off"]["images"],
        "totals": {
            name: {"sdc1": s["total"]["sdc1"], "avf": s["total"]["avf"],
                   "accuracy": s["accuracy"]["drop"]}
            for name, s in summaries.items()
        },
        "pairs": _json(f"{folder}/comparison.json")["second"]["bound"],
    }  # fmt: skip


def _taken_ptq() -> Sequence[Figures]:
    ways = ("weight_bits", "act_bits", "clip", "weights", "scales")
    return [
        {**{way: row[way] for way in ways}, "percent": test["percent"]}
        for row in _json("build/ptq/lenet5.json")["rows"]
        for test in row["accuracy"]
        if test["data"] == "JPEG-q75"
    ]


def _taken_shipped() -> Figures:
    shipped = sorted(networks.shipped(), key=len)
    found = {name: networks.load_network(name.removesuffix("_int8")).provenance for name in shipped}
    return {n: {key: p[key] for key in ("accuracy", "agreement")} for n, p in found.items()}


def protection(content: Figures) -> Lines:
    """What presets of protections cost, and which bits they leave sensitive."""
    lines = [["preset", "look-up tables", "flip-flops", "block memories", "cycles",
              "faults that changed the class unseen", "sensitive bits", "times fewer",
              "wrong outputs, bits", "stops, bits"]]  # fmt: skip
    for preset, part in content.items():
        none = content["none"]
        cost = [f"{part[name]:,}" + (f" (+{100 * part[f'{name}_overhead']:.1f} %)"
                if f"{name}_overhead" in part else "") for name in ("lut", "ff")]  # fmt: skip
        bits = part["sensitive_bits"]
        fewer = part.get("reduction", {}).get("undetected_sdc1")
        lines.append([
            f"`{preset}`", *cost, f"+{part['bram'] - none['bram']}",
            f"+{100 * part.get('cycles_overhead', 0):.2f} %",
            f"{part['undetected_sdc1']} of {part['faults'] * part['images']:,}",
            "{value:,.0f} ({low:,.0f} to {high:,.0f})".format(**bits["undetected_sdc1"]),
            "-" if fewer is None else f"{fewer['value']:,.0f} (at least {fewer['low']:.1f})",
            f"{bits['undetected_wrong']['value']:,.0f}", f"{bits['due']['value']:,.0f}",
        ])  # fmt: skip
    return lines


TAKEN: dict[str, Callable[[], Any]] = {
    "campaign": lambda: _json("build/bench/campaign.json"),
    "extras": lambda: _json("build/bench/extras.json"),
    "faultmodels": lambda: _json("build/bench/faultmodels.json"),
    "ftt": lambda: _json("build/ftt/summary.json")["rows"],
    "guard": _taken_guard,
    "guard_boards": lambda: _json("build/bench/boards.json"),
    "intervals": _taken_intervals,
    "peer": _taken_peer,
    "protection": lambda: _json("build/bench/protection.json"),
    "ptq": _taken_ptq,
    "shipped": _taken_shipped,
}
"""By source, what is taken of what its command wrote."""
