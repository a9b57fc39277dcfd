"""One fault of a campaign again: plain RTL, the engine, and where the two runs part.

replay_upset(job, "c1234/array__pe_3_4__weight[5]", folder)
"""

from pathlib import Path

import torch

from holdfast.base.console import console, marked
from holdfast.fault.injection.replay import replay
from holdfast.fault.model.fault import Fault
from holdfast.fault.model.registry import parse_fault
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.results.tables import divergence_table
from holdfast.sim.cocotb.build import build_cocotb
from holdfast.sim.machine.schedule import Schedule
from holdfast.sim.machine.timeline import DescriptorTimeline

from .spec import CampaignSpec
from .workers import Worker


def layer_cycle(first: DescriptorTimeline, cycle: int) -> int:
    """Returns the cycle of a layer run alone, whose start takes one, for one of the inference."""
    return cycle - first.fetch + 1


def replay_upset(job: CampaignSpec, identifier: str, folder: Path) -> None:
    """Repeat a fault on the first image and print what it does.

    Waveforms are of the layer that runs when the fault strikes, and of single upsets alone.

    Raises
    ------
    HoldfastError
        The fault does not exist.
    """
    cycles = Schedule(job.program).cycles
    upset = parse_fault(FaultSpace.of(job.netlist), cycles, identifier)
    with console.status("Repeating the fault in the compiled engine"):
        worker = Worker(job)
        schedule = worker.inference.schedule
        engine = worker.engine(0)
        (found,) = engine.run([upset])
        plain = engine.plain(upset)
    agreement = "plain RTL agrees" if found.agrees(plain) else "plain RTL disagrees"
    console.print(
        marked(
            f"{identifier}: ", (found.effect, "bold"), f" {found.died}, {found.path}; {agreement}."
        )
    )
    if not upset.single:
        console.print("No waveforms: they are of single upsets.")
        return
    run = schedule.at(upset.cycle)
    first = next(other for other in schedule.runs if other.step is run.step)
    cycle = max(0, layer_cycle(first, upset.cycle))
    fault = Fault(upset.bits, cycle, layer=run.step.name)
    with console.status("Waveforms of the layer"):
        build = build_cocotb(job.netlist, waves=True)
        again = replay(
            build, job.program, torch.from_numpy(job.codes), str(fault), folder, job.guard
        )
    title = f"First registers that differ in {run.step.name}"
    table = divergence_table(title, again.divergence, first.fetch - 1)
    console.print(table if again.divergence else "No other register ever differs in this layer.")
    console.print(again.waveforms)
