"""``nox -s bench -- exhaustive``: every bit of every flip-flop in every cycle, against plain RTL.

Small networks run on a 3x2 and a 4x4 array, and on a 3x2 array with its guard on: convolutions of
several tiles, an add with what a convolution stored, pooling, lanes behind the last channel. Of
each upset the engine of campaigns says one thing, plain RTL (`tests.bench.plain`) another; the
columns of `tests.bench.compared` have to be equal. One fault in some thousands runs from the first
cycle to the last as well.

Results of a cycle are kept in build/bench/exhaustive/ as soon as they are there; the command goes
on where it was stopped. Writes build/bench/exhaustive.json.
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from holdfast.base.cache import digest
from holdfast.base.command import run
from holdfast.base.console import console
from holdfast.base.files import write_json
from holdfast.base.options import check_choice, path, text, whole, words
from holdfast.base.progress import rated
from holdfast.base.sources import source_hash
from holdfast.fault.campaign.engine import Engine
from holdfast.fault.campaign.manifest import program_hash
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import FaultSpace, Site
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.compiler.compiler import compile_graph
from holdfast.nn.compiler.program import Program
from holdfast.nn.graph.guard_modes import GUARD_OFF, GUARD_ON, GuardSettings
from holdfast.nn.graph.pixels import image_codes
from holdfast.nn.networks.spec import Network
from tests.bench.compared import campaign_engine, differing
from tests.bench.plain import PlainRtl
from tests.random_graph import random_graph

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

ARRAYS = {
    "3x2": (3, 2, 3, "avgpool", GUARD_OFF),
    "4x4": (4, 4, 5, "maxpool", GUARD_OFF),
    "3x2_guarded": (3, 2, 3, "maxpool", GUARD_ON),
}
"""Rows, columns, channels, the pooling, and the guard: one that is off is not in the netlist."""
_SHOWN = 20
"""Differences whose faults the JSON names."""


def small_network(
    rows: int, cols: int, channels: int, pooling: str, guard: GuardSettings
) -> tuple[Program, NDArray[np.int8]]:
    """Makes a network that has a layer of each kind, and an image."""
    net = Network("small", input_shape=(2, 3, 3))
    first = net.conv("first", "image", channels, 2, padding=0)
    second = net.conv("second", first, channels, 1, activation="none")
    pooled = net.pool(pooling, "pooled", net.add("added", second, first), 2, 2)
    net.dense("logits", pooled, 3)
    config = AcceleratorConfig(
        rows=rows, cols=cols, act_depth=32, weight_depth=256, acc_depth=16, param_depth=16 * cols,
        program_depth=16, guard=guard.on,
    )  # fmt: skip
    program = compile_graph(random_graph(net, seed=5), config)
    pixels = np.random.default_rng(1).integers(0, 256, (1, *net.input_shape), np.uint8)
    return program, image_codes(pixels, config.act_bits)[0].numpy()


@app.command()
def exhaustive(
    arrays: Annotated[str, text(f"Of {', '.join(ARRAYS)}.")] = ",".join(ARRAYS),
    stride: Annotated[int, whole(1, 1000, "Take each cycle of so many.")] = 1,
    first: Annotated[int, whole(0, 1000, "The first of them.")] = 0,
    audit: Annotated[int, whole(1, 10**9, "One fault of so many also from cycle 0.")] = 5000,
    output: Annotated[Path, path("Folder of the JSON.")] = Path("build/bench"),
) -> int:
    """Compare all upsets of flip-flops of small networks with plain RTL."""
    result = {}
    for name in words(arrays):
        check_choice(tuple(ARRAYS), **{"--arrays": name})
        result[name] = _walk(name, stride, first, audit, output / "exhaustive")
        console.print(name, result[name])
        write_json(output / "exhaustive.json", result)
    return 1 if any(entry["differences"] for entry in result.values()) else 0


def _walk(name: str, stride: int, first: int, audit: int, folder: Path) -> dict[str, Any]:
    engine = campaign_engine(*small_network(*ARRAYS[name]), ARRAYS[name][-1])
    session = engine.inference
    space = FaultSpace.of(session.netlist)
    registers = [
        state for n in space.structures for state in space.members(n) if state.kind == "flip-flop"
    ]
    cycles = range(first, session.schedule.cycles, stride)
    key = [
        session.netlist.hash,
        program_hash(engine.program),
        source_hash("holdfast.fault.campaign.workers"),
        stride,
    ]
    kept = folder / f"{name}-{digest(key)[:16]}.jsonl"
    done = _done(kept)
    session.lockstep.load(0)
    plain = PlainRtl(session, engine.seen, stride)
    bits = sum(state.bits for state in registers)
    with rated(f"Upsets on {name}", bits * len(cycles), "{:,.0f} faults/s") as show:
        new = 0
        # Backwards: most faults become one of the next cycle, which is known by then.
        for cycle in reversed(cycles):
            if cycle not in done:
                row = _cycle(engine, plain, registers, cycle, audit)
                with kept.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                done[cycle] = row
                new += bits
            show(bits * sum(cycle in done for cycle in cycles), new)
    rows = [done[cycle] for cycle in cycles]
    return _totals(engine, [state.structure for state in registers], rows) | {
        "registers": len(registers), "bits": bits, "cycles": len(cycles), "stride": stride,
    }  # fmt: skip


def _done(kept: Path) -> dict[int, dict[str, Any]]:
    """Reads what is kept, by cycle; a line that was cut goes."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    lines = kept.read_text().splitlines(keepends=True) if kept.is_file() else []
    lines = [line for line in lines if line.endswith("\n")]
    kept.write_text("".join(lines))
    return {row["cycle"]: row for row in map(json.loads, lines)}


def _cycle(
    engine: Engine, plain: PlainRtl, registers: list, cycle: int, audit: int
) -> dict[str, Any]:
    """Compares all upsets that begin in one cycle."""
    began = time.process_time()
    faults, structures = [], []
    for state in registers:
        for bit in range(state.width):
            faults.append(Fault((Site(state.signal, None, bit),), cycle))
            structures.append(state.structure)
    outcomes = engine.run(faults)
    engine.propagator.clear_cache()
    middle = time.process_time()
    wrong, before = [], plain.finished
    for fault, outcome in zip(faults, outcomes, strict=True):
        other = plain.run(fault.site.signal, fault.site.bit, cycle)
        if columns := differing(outcome, other):
            wrong.append(f"{fault}: {', '.join(columns)} ({outcome.path})")
    end = time.process_time()
    chosen = range((7919 * cycle) % audit, len(faults), audit)
    checked = [(faults[n], outcomes[n], engine.plain(faults[n])) for n in chosen]
    return {
        "cycle": cycle,
        "faults": len(faults),
        "differences": wrong,
        "paths": Counter(outcome.path for outcome in outcomes),
        "effects": Counter(outcome.effect for outcome in outcomes),
        "structures": Counter(f"{s} {o.path}" for s, o in zip(structures, outcomes, strict=True)),
        "engine_s": middle - began,
        "plain_s": end - middle,
        "finished": plain.finished - before,
        "whole": len(checked),
        "whole_differences": [str(f) for f, mine, its in checked if differing(mine, its)],
    }


def _totals(engine: Engine, structures: list[str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    def added(key: str) -> dict[str, int]:
        return dict(sum((Counter(row[key]) for row in rows), Counter[str]()))

    both = added("structures")
    wrong = [text for row in rows for text in row["differences"]]
    whole = [text for row in rows for text in row["whole_differences"]]
    return {
        "network": [f"{run.step.name} {run.end - run.fetch}" for run in
                    engine.inference.schedule.runs],
        "array": engine.program.config.name,
        "machines_together": engine.inference.many is not None,
        "faults": sum(row["faults"] for row in rows),
        "differences": len(wrong) + len(whole),
        "first_differences": (wrong + whole)[:_SHOWN],
        "seconds": {key: round(sum(row[f"{key}_s"] for row in rows), 1)
                    for key in ("engine", "plain")},
        "rtl_runs_to_the_end": sum(row["finished"] for row in rows),
        "from_the_first_cycle": sum(row["whole"] for row in rows),
        "by_path": added("paths"),
        "by_effect": added("effects"),
        "by_structure": {
            name: {key.partition(" ")[2]: count for key, count in both.items()
                   if key.partition(" ")[0] == name}
            for name in dict.fromkeys(structures)
        },
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(run(app))
