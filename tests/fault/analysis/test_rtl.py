"""The resolver that runs RTL beside the golden run, against RTL from the first cycle on."""

import pytest

from holdfast.fault.campaign.engine import Engine
from holdfast.fault.model.fault import Fault
from tests.fault.tiny import images, recorded


@pytest.mark.parametrize("together", [False, True], ids=["alone", "together"])
@pytest.mark.parametrize("late", [-1, 0, 1])
def test_a_run_that_is_golden_again_may_still_end_too_late(late, together):
    """More kernel rows take 2,400 cycles; the run is left long before its end."""
    fault = Fault.parse("c42/feeder__kernel_row[1]")
    others = [Fault.parse(f"c{cycle}/feeder__kernel_row[1]") for cycle in range(43, 63)]
    session = recorded()
    session.together = together
    engine = Engine(session, images()[0].numpy(), session.golden)
    cycles = engine.run([fault])[0].cycles
    assert cycles > session.schedule.cycles + 2000
    session.limit = cycles + late
    (found, *rest), plain = engine.run([fault, *others]), engine.plain(fault)
    assert (found.effect == "hang") == (plain.effect == "hang") == (late < 0)
    assert found.agrees(plain)
    assert all(o.agrees(engine.plain(f)) for f, o in zip(others, rest, strict=True))
    # It is not what the run's end decides.
    assert late < 0 or found.path == "window"
