"""Running what edalize wrote: failures, and a router that never ends."""

import os
import time

import pytest

from constraints.boards import find_board
from constraints.place_flow import LOG, MOST_ITERATIONS, NETLIST, NotRouted, PlaceFlow
from gen.errors import HoldfastError


@pytest.fixture
def flow(tmp_path):
    board = find_board("ulx3s")
    (tmp_path / NETLIST).write_text("{}")
    (tmp_path / board.pin_file.name).write_text("")
    return PlaceFlow.make(board, tmp_path, seed=1)


def recipe(flow, *lines):
    """In place of the tools."""
    text = "".join(f"\t{line}\n" for line in lines)
    with open(os.path.join(flow.work_root, "Makefile"), "w") as makefile:
        makefile.write(f"{flow.placed}:\n{text}")


def test_router_that_does_not_converge_is_stopped(flow, tmp_path):
    recipe(
        flow,
        f"echo 'Info:     iter={MOST_ITERATIONS} wires=9 overused=9 overuse=9 archfail=NA' > {LOG}",
        "sleep 4",
        f"echo 'Info:     iter={MOST_ITERATIONS + 1} wires=9 overused=9 overuse=9' >> {LOG}",
        "sleep 600; touch late",
    )
    begin, heard = time.monotonic(), []
    with pytest.raises(NotRouted, match=rf"no way in {MOST_ITERATIONS} iterations; .*{LOG}"):
        flow.run(flow.placed, heard.extend)
    assert 4 <= time.monotonic() - begin < 120
    # At the limit itself it went on.
    assert f"iter={MOST_ITERATIONS} " in heard[0]


def test_the_tools_reason_is_told(flow):
    recipe(flow, f"echo 'ERROR: no more bels of type X.' > {LOG}", "false")
    with pytest.raises(HoldfastError, match=r"failed: no more bels of type X; .* has the details"):
        flow.run(flow.placed)
