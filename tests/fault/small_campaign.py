"""A campaign on the 2x2 accelerator of `tests.fault.tiny`, and shards that say what one found."""

import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.fault.campaign.shard import pack
from holdfast.fault.campaign.spec import CampaignSpec
from holdfast.fault.model.models.upset import UpsetModel
from holdfast.fault.sampling.plan import Plan
from holdfast.fault.sampling.sampler import Filters
from holdfast.nn.graph.guard_modes import GUARD_OFF
from tests.fault.tiny import images, netlist, program


def read(data):
    """The table in a shard's bytes."""
    return pq.read_table(pa.BufferReader(data))


def plan_of(space, schedule, model=None, **filters):
    return Plan(space, schedule, model or UpsetModel(), Filters(**filters))


def job_of(space, schedule, count=300, **changes):
    plan = plan_of(space, schedule, changes.get("model"))
    arguments = {
        "program": program(),
        "netlist": netlist(),
        "guard": GUARD_OFF,
        "codes": images()[:1].numpy(),
        "labels": None,
        "model": UpsetModel(),
        "filters": Filters(),
        "counts": plan.allocate(count, 12),
        "size": 25,
        "seed": 3,
        "audit": 0.1,
        "spacing": 16,
    }
    return CampaignSpec(**(arguments | changes))


def sizes(job):
    """Rows of every unit, from the counts alone."""
    found = {}
    for structure, count in job.counts.items():
        for number, first in enumerate(range(0, count, job.size)):
            found[f"{structure}-{number:06d}"] = min(job.size, count - first) * len(job.codes)
    return {unit: found[str(unit)] for unit in job.units()}


def content(store, units):
    return b"".join(store.shard(name).read_bytes() for name in units)


def shard(effects, **changes):
    """A shard of faults in the structure weight that had these effects."""
    return read(packed(effects, **changes))


def packed(effects, **changes):
    row = {
        "fault": "", "structure": "weight", "signal": "weight", "word": 0, "bit": 0, "cycle": 0,
        "layer": "a", "phase": "stream", "image": 0, "died": "", "detected": False,
        "false_alarm": False, "latency": -1, "sdc5": False, "sdc10": False, "sdc20": False,
        "counts": 0, "cycles": 0, "status": 0, "right": None, "path": "closed", "audited": False,
        "agrees": None,
    } | changes  # fmt: skip
    columns = {name: [value] * len(effects) for name, value in row.items()}
    columns |= {"number": list(range(len(effects))), "effect": effects}
    return pack(columns)
