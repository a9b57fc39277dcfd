"""Testbench: `sim.layer_runs` in cocotb.

Parameter ``job``: file of a pickled `LayerJob`. Every `LayerRun` is a result of its own.
"""

import pickle
from dataclasses import asdict
from pathlib import Path

import cocotb

from holdfast.sim.layer_runs import LayerJob, layer_runs

from .build import parameters, write_results
from .host import start_host


@cocotb.test()
async def run_layers(dut):
    job: LayerJob = pickle.loads(Path(parameters()["job"]).read_bytes())
    host = await start_host(dut, job.stall, job.seed)
    async for run in layer_runs(host, job):
        write_results(asdict(run))
