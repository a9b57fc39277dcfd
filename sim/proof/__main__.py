"""``python -m holdfast.sim.proof``: proves what protections find, and prints a table."""

from dataclasses import asdict
from pathlib import Path

import typer
from rich.table import Table

from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.files import make_folder, write_json
from holdfast.base.progress import tracked
from holdfast.gen.config import AcceleratorConfig

from .lemmas import LEMMAS
from .solver import prove

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

CONFIGURATIONS = (
    AcceleratorConfig(rows=8, cols=8),
    AcceleratorConfig(rows=3, cols=2, act_bits=5, weight_bits=4),
    AcceleratorConfig(rows=2, cols=5),
)
SUMMARY = Path("build/prove/summary.json")
_REFUTED = 1


@app.command()
def main() -> int:
    """Prove what each protection finds, for every single upset in every cycle."""
    table = Table(title="Single upsets of protected state")
    for column in ("protection", "property", "array", "method"):
        table.add_column(column, overflow="fold")
    table.add_column("seconds", justify="right")
    cases = [
        (name, lemma, config)
        for name, lemmas in LEMMAS.items()
        for lemma in lemmas
        for config in CONFIGURATIONS
    ]
    rows = []
    for name, lemma, config in tracked(cases, "Proofs"):
        verdict = prove(lemma.build(config))
        array = f"{config.rows}x{config.cols} a{config.act_bits}w{config.weight_bits}"
        rows.append({"protection": name, "property": lemma.claim, "array": array} | asdict(verdict))
        method = verdict.method if verdict.proven else f"refuted: {verdict.sentence}"
        table.add_row(name, lemma.claim, array, method, f"{verdict.seconds:.1f}")
    console.print(table)
    make_folder(SUMMARY.parent)
    write_json(SUMMARY, rows)
    console.print(f"{SUMMARY} written.")
    return 0 if all(row["proven"] for row in rows) else _REFUTED


if __name__ == "__main__":
    raise SystemExit(run(app, "holdfast prove"))
