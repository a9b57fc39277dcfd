"""Fixtures of the tests of faults: the space and the schedule of `tests.fault.tiny`."""

import pytest

from holdfast.fault.campaign.store import Store
from holdfast.fault.campaign.workers import run_units
from holdfast.fault.model.space import FaultSpace
from holdfast.fault.results.summary import summarize
from holdfast.sim.machine.schedule import Schedule
from tests.fault.small_campaign import content, job_of, plan_of, sizes
from tests.fault.tiny import netlist, program


@pytest.fixture(scope="session")
def space():
    return FaultSpace.of(netlist())


@pytest.fixture(scope="session")
def schedule():
    return Schedule(program())


@pytest.fixture(scope="session")
def finished(tmp_path_factory, space, schedule):
    """A campaign without interruption: its job, shards and summary."""
    folder = tmp_path_factory.mktemp("campaign")
    job = job_of(space, schedule)
    units = job.units()
    with Store(folder, {"seed": job.seed, "sources": "a"}) as store:
        for name, data, _ in run_units(job, units):
            store.add(name, data)
        tables = list(store.tables(sizes(job).items()))
        return job, content(store, units), summarize(tables, plan_of(space, schedule), 1), tables
