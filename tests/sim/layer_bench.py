"""Testbench: whole programs through the bus, one after the other, step by step.

Parameter ``cases``: pickled list of `Case`; ``stall``: back-pressure; ``seed``.
The activation memories hold random codes before each program, and each step reads what the steps
before it have written.
"""

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb
import numpy as np

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import Region
from holdfast.nn.compiler.program import Program, Step
from holdfast.sim.cocotb.build import parameters, write_results
from holdfast.sim.cocotb.host import start_host
from holdfast.sim.driver import lanes_to_bytes, region
from holdfast.sim.host import Host
from holdfast.sim.registers import check_status

LIMIT = 200_000


@dataclass
class Case:
    """One program, its image, and what every step must give."""

    program: Program
    codes: np.ndarray
    tensors: dict[str, np.ndarray]
    guard: dict[str, bool] = field(default_factory=dict)
    at_once: bool = False
    """All steps in one run: only the last tensor is compared."""
    counts: dict[str, Any] = field(default_factory=dict)
    """Guard violations that the reference counts, by layer."""


async def fill_banks(host: Host, config: AcceleratorConfig, seed: int) -> None:
    generator = np.random.default_rng(seed)
    half = 1 << config.act_bits - 1
    for bank in range(config.act_banks):
        words = generator.integers(-half, half, (config.act_depth, config.word_lanes))
        await host.write(
            [(region(Region.ACTIVATIONS + bank), lanes_to_bytes(words.astype(np.int8)))]
        )


async def clear_counters(host: Host) -> None:
    for name in ("guard_output", "guard_input"):
        await host.write_register(name, 0)


async def compare(host: Host, case: Case, name: str, label: str, run) -> dict:
    got = await host.read_tensor(case.program, name)
    want = case.tensors[name]
    wrong = np.argwhere(got != want)
    return {
        "network": case.program.graph.network,
        "name": label,
        "outputs": int(want.size),
        "mismatches": len(wrong),
        "first": [*map(int, wrong[0]), int(got[tuple(wrong[0])]), int(want[tuple(wrong[0])])]
        if len(wrong)
        else [],
        "cycles": run.cycles,
        "guard_output": await host.read_register("guard_output"),
        "guard_input": await host.read_register("guard_input"),
    }


@cocotb.test()
async def run_programs(dut):
    given = parameters()
    cases: list[Case] = pickle.loads(Path(given["cases"]).read_bytes())
    host = await start_host(dut, given.get("stall", 0.0), given.get("seed", 0))
    results = []
    for number, case in enumerate(cases):
        program = case.program
        await fill_banks(host, program.config, number)
        await host.load(program)
        await host.write_tensor(program, program.graph.nodes[0].name, case.codes)
        lines = []
        if case.at_once:
            await clear_counters(host)
            name = program.steps[-1].target
            every = tuple(d for step in program.steps for d in step.descriptors)
            whole = Step(name, (), "", "", (), name, descriptors=every)
            run = await host.run(program, whole, LIMIT, **case.guard)
            check_status(run.status, program.config)
            lines.append(await compare(host, case, name, "at once", run))
        else:
            for index, step in enumerate(program.steps):
                await clear_counters(host)
                run = await host.run(program, step, LIMIT, **case.guard)
                check_status(run.status, program.config)
                later = {other.target for other in program.steps[index + 1 :]}
                if step.target not in later:
                    lines.append(await compare(host, case, step.target, step.name, run))
        results.append(lines)
    write_results(results)
