"""``nox -s bench -- protection``: what each preset of protections costs, and what it leaves.

Writes build/bench/protection.json, {preset: {lut, ff, bram, dsp, lut_overhead, ff_overhead,
cycles_overhead, faults, images, undetected_sdc1, undetected_wrong, due, audited, disagreements,
sensitive_bits: {undetected_sdc1, undetected_wrong, due}, reduction: {...}}}. All presets have the
same network, array, images and seed. Sensitive bits are those of the design, its protections'
included, times the share of upsets with that effect; a reduction is theirs without protection over
theirs with it. Each is {value, low, high}. The interval of a reduction is that of the ends of
both: it holds more often than it says.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.errors import HoldfastError
from holdfast.base.files import make_folder, write_atomically
from holdfast.base.options import check_range
from holdfast.constraints.flow.synthesis import synthesize
from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.protection.presets import NONE, PRESETS
from holdfast.gen.verilog import emit

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

EFFECTS = {
    "undetected_sdc1": ("sdc1",),
    "undetected_wrong": ("sdc1", "benign"),
    "due": ("stopped", "hang"),
}
"""By the names in the JSON, the effects that count: the class changes; any logit does; the run has
no result."""

Share = dict[str, float]
"""A value with the ends of its interval."""


@app.command()
def protection(
    network: Annotated[str, typer.Option(help="Shipped network.")] = "resnet8",
    size: Annotated[int, typer.Option(help="Rows and columns of the array.")] = 8,
    faults: Annotated[int, typer.Option(help="Faults over the whole space, for each.")] = 60_000,
    minimum: Annotated[int, typer.Option(help="Least faults of a structure.")] = 4_000,
    images: Annotated[int, typer.Option(help="Images of every fault.")] = 2,
    seed: Annotated[int, typer.Option(help="Of images and faults.")] = 1,
    family: Annotated[str, typer.Option(help="FPGA family of the cost.")] = "ecp5",
    data: Annotated[Path | None, typer.Option(help="CIFAR-10 data.")] = None,
    output: Annotated[Path, typer.Option(help="Folder of the JSON.")] = Path("build/bench"),
) -> int:
    """Measures every preset, one after the other; campaigns go on where they were left."""
    check_range(1, 16, size=size)
    folder = output / f"protection_{network}_{size}x{size}"
    make_folder(folder)
    found: dict[str, Any] = {}
    for preset, members in PRESETS.items():
        config = AcceleratorConfig(rows=size, cols=size, guard=False, protections=members)
        place = folder / preset
        make_folder(place)
        write_atomically(place / "chip.toml", config.to_toml().encode())
        cost = synthesize(emit(config, "chip"), "chip", family, place / "synthesis").total
        options = {"network": network, "config": place / "chip.toml", "faults": faults,
                   "minimum": minimum, "images": images, "seed": seed,
                   "store": place / "campaign"} | ({"data": data} if data else {})  # fmt: skip
        command = [sys.executable, "-m", "holdfast.cli", "campaign"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        if subprocess.run(command).returncode:
            raise HoldfastError(f"the campaign of preset {preset} did not end well.")
        summary = json.loads((place / "campaign/summary.json").read_text(encoding="utf-8"))
        found[preset] = entry(summary, cost, found.get(NONE))
        write_atomically(output / "protection.json", json.dumps(found, indent=1).encode())
    console.print(table(found, family))
    return 0


def entry(summary: dict[str, Any], cost: Any, none: dict[str, Any] | None) -> dict[str, Any]:
    """Returns a preset's part of the JSON; the one without protection has no reductions."""
    counts = {name: _counted(summary, effects) for name, effects in EFFECTS.items()}
    bits = {name: _sensitive(summary, effects) for name, effects in EFFECTS.items()}
    result = {
        "lut": cost.lut, "ff": cost.ff, "bram": cost.mem, "dsp": cost.dsp,
        "cycles": summary["cycles"], "faults": summary["faults"], "images": summary["images"],
        **counts, "audited": summary["audit"]["checked"],
        "disagreements": summary["audit"]["disagreements"],
        "bits": summary["bits"], "sensitive_bits": bits,
    }  # fmt: skip
    if none is not None:
        for name in ("lut", "ff", "cycles"):
            result[f"{name}_overhead"] = round(result[name] / none[name] - 1, 5)
        before = none["sensitive_bits"]
        result["reduction"] = {name: _ratio(before[name], bits[name]) for name in EFFECTS}
    return result


def _counted(summary: dict[str, Any], effects: tuple[str, ...]) -> int:
    structures = summary["structures"].values()
    return sum(part["counts"][effect] for part in structures for effect in effects)


def _sensitive(summary: dict[str, Any], effects: tuple[str, ...]) -> Share:
    """The design's bits times the share of its upsets that have an effect; the ends of intervals of
    several effects are added.
    """
    total = {end: sum(summary["total"][effect][end] for effect in effects)
             for end in ("value", "low", "high")}  # fmt: skip
    return {end: round(share * summary["bits"], 2) for end, share in total.items()}


def _ratio(before: Share, after: Share) -> dict[str, float | None]:
    """Bits before over bits after; None where there is no bound."""

    def over(a: float, b: float) -> float | None:
        return round(a / b, 1) if b else None

    return {
        "value": over(before["value"], after["value"]),
        "low": over(before["low"], after["high"]),
        "high": over(before["high"], after["low"]),
    }


def table(found: dict[str, Any], family: str) -> Table:
    """Returns what is printed."""
    shown = Table(title=f"Protections, cost on {family}")
    for column in ("preset", "LUT", "FF", "cycles", "undetected SDC-1", "sensitive bits",
                   "fewer", "DUE bits", "audit"):  # fmt: skip
        shown.add_column(column, justify="left" if column == "preset" else "right")
    for preset, part in found.items():
        over = {name: part.get(f"{name}_overhead") for name in ("lut", "ff", "cycles")}
        shares = ["" if value is None else f"+{100 * value:.2f} %" for value in over.values()]
        bits, due = (part["sensitive_bits"][name] for name in ("undetected_sdc1", "due"))
        fewer = part.get("reduction", {}).get("undetected_sdc1", {}).get("low")
        shown.add_row(
            preset, *shares, f"{part['undetected_sdc1']} of {part['faults']:,}",
            f"{bits['value']:,.0f} ({bits['low']:,.0f}-{bits['high']:,.0f})",
            "" if fewer is None else f">= {fewer:,.1f}", f"{due['value']:,.0f}",
            f"{part['disagreements']} of {part['audited']}",
        )  # fmt: skip
    return shown


if __name__ == "__main__":
    sys.exit(run(app, "nox -s bench -- protection"))
