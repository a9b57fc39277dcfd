"""Testbench: every step of a program, one after the other, each with the golden model's input.

Parameters: ``program``: pickled list of (Program, codes of the image, golden tensors by name);
``guard``: settings of the control register; ``stall``, ``seed``: back-pressure on the bus.
Prints one line of JSON per step and image, and returns them.
"""

import json
import pickle
from pathlib import Path

import cocotb
import numpy as np

from holdfast.gen.layout import COUNTERS
from holdfast.sim.driver import check_status

from .build import parameters, write_results
from .host import Host

MARK = "holdfast-step "


@cocotb.test()
async def run_layers(dut):
    given = parameters()
    program, images = pickle.loads(Path(given["program"]).read_bytes())
    host = await Host.start(dut, given.get("stall", 0.0), given.get("seed", 0))
    await host.load(program)
    settings = given.get("guard", {})
    results = []
    for number, (codes, golden) in enumerate(images):
        image = program.graph.nodes[0].name
        for step in program.steps:
            if given.get("layers") and step.name not in given["layers"]:
                continue
            for name in step.reads:
                await host.write_tensor(program, name, codes if name == image else golden[name])
            for name in ("guard_output", "guard_input"):
                await host.write_register(name, 0)
            run = await host.run(program, step, **settings)
            assert run.ended, f"{step.name} did not end"
            check_status(run.status, program.config)
            channels = program.channels(step)
            result = (await host.read_tensor(program, step.target))[channels]
            line = {
                "image": number,
                "name": step.name,
                "cycles": run.cycles,
                "outputs": int(result.size),
                "mismatches": int(np.count_nonzero(result != golden[step.target][channels])),
                "guard_output": await host.read_register("guard_output"),
                "guard_input": await host.read_register("guard_input"),
                "spent": {name: await host.read_register(name) for name in COUNTERS},
            }
            results.append(line)
            print(MARK + json.dumps(line), flush=True)
    write_results(results)
