"""One fault of a campaign again: plain RTL, the engine, and where the two runs part.

replay_upset(job, "c1234/array__pe_3_4__weight[5]", folder)
"""

from pathlib import Path

import torch
from rich.box import SIMPLE
from rich.table import Table

from holdfast.base.console import console, marked
from holdfast.fault.injection.replay import replay
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.space import Site
from holdfast.fault.model.upset import parse_upset
from holdfast.sim.cocotb.build import build_cocotb
from holdfast.sim.machine.timeline import DescriptorTimeline

from .spec import CampaignSpec
from .workers import Worker

__all__ = ["layer_cycle", "replay_upset"]


def layer_cycle(first: DescriptorTimeline, cycle: int) -> int:
    """A cycle of the inference as a cycle of the layer run alone, whose start takes one cycle."""
    return cycle - first.fetch + 1


def replay_upset(job: CampaignSpec, identifier: str, folder: Path) -> None:
    """Repeat a fault on the first image and print what it does.

    Waveforms are of the layer that runs when the fault strikes, and of single upsets alone.

    Raises
    ------
    HoldfastError
        The fault does not exist.
    """
    with console.status("Repeating the fault in the compiled engine"):
        worker = Worker(job)
        schedule = worker.inference.schedule
        upset = parse_upset(worker.space, schedule.cycles, identifier)
        engine = worker.engine(0)
        (found,) = engine.run([upset])
        plain = engine.plain(upset)
    agreement = "plain RTL agrees" if found.agrees(plain) else "plain RTL disagrees"
    console.print(
        marked(
            f"{identifier}: ",
            (found.effect, "bold"),
            f" {found.died}, {found.path}; {agreement}.",
        )
    )
    if len(upset.bits) != 1 or upset.stuck is not None:
        console.print("No waveforms: they are of single upsets.")
        return
    run = schedule.at(upset.cycle)
    first = next(other for other in schedule.runs if other.step is run.step)
    name, word, bit = upset.bits[0]
    address = word if worker.space[name].kind == "memory" else None
    cycle = max(0, layer_cycle(first, upset.cycle))
    fault = Fault(run.step.name, 0, cycle, Site(name, address, bit))
    with console.status("Waveforms of the layer"):
        build = build_cocotb(job.netlist, waves=True)
        again = replay(
            build, job.program, torch.from_numpy(job.codes), str(fault), folder, job.guard
        )
    table = Table(title=f"First registers that differ in {run.step.name}", box=SIMPLE)
    for heading in ("cycle", "register", "golden", "faulty"):
        table.add_column(heading)
    for entry in again.divergence:
        moment = entry.cycle + first.fetch - 1
        table.add_row(str(moment), entry.signal, f"{entry.golden:#x}", f"{entry.faulty:#x}")
    console.print(table if again.divergence else "No other register ever differs in this layer.")
    console.print(f"Waveforms: {again.golden} and {again.faulty}; cycle 0 at {again.begin} ns.")
