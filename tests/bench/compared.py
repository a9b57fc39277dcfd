"""The engine as campaigns make it, and whether it says of a fault what plain RTL does.

All columns but ``path`` are compared. Three of them are only known in one way: plain RTL does not
see where a fault ``died``; the engine says a ``latency`` only where RTL saw the alarm, and ends a
hang before its last of ``cycles``.
"""

import numpy as np
from numpy.typing import NDArray

from holdfast.fault.analysis.liveness import LivenessTable
from holdfast.fault.campaign.engine import Engine, FaultOutcome
from holdfast.fault.campaign.golden_runs import watched
from holdfast.fault.injection.session import RtlSession
from holdfast.nn.compiler.program import Program
from holdfast.nn.graph.guard_modes import GuardSettings
from holdfast.sim.netlist.accelerator import accelerator_netlist

_COLUMNS = ("effect", "detected", "sdc5", "sdc10", "sdc20", "counts", "status", "output", "top")


def campaign_engine(program: Program, codes: NDArray[np.int8], guard: GuardSettings) -> Engine:
    """Makes the engine of an image as campaigns do that have many faults."""
    netlist = accelerator_netlist(program.config)
    session = RtlSession(program, netlist, guard)
    session.together = True
    session.golden = trace = session.record(codes)
    table = LivenessTable.of(netlist, session.lockstep, watched(netlist))
    return Engine(session, codes, trace, table)


def differing(engine: FaultOutcome, plain: FaultOutcome) -> list[str]:
    """Names the columns that differ."""
    columns = [*_COLUMNS]
    if plain.effect != "hang":
        columns.append("cycles")
    if min(engine.latency, plain.latency) >= 0:
        columns.append("latency")
    return [name for name in columns if getattr(engine, name) != getattr(plain, name)]
