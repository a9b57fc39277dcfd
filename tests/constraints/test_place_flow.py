"""Running what edalize wrote: failures, and a router that never ends."""

import os
import time

import pytest

from constraints.boards import find_board
from constraints.place_flow import (
    GROWN,
    LOG,
    MOST_ITERATIONS,
    NETLIST,
    NotInTime,
    NotRouted,
    PlaceFlow,
)
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


def iteration(number, conflicts):
    line = f"Info:     iter={number} wires=9 overused={conflicts} overuse=9 archfail=NA"
    return f"echo '{line}' >> {LOG}"


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (iteration(MOST_ITERATIONS + 1, 7), f"in {MOST_ITERATIONS + 1} iterations, 7 conflicts"),
        (iteration(80, 100 * GROWN + 1), f"in 80 iterations, {100 * GROWN + 1} conflicts"),
    ],
    ids=["slow", "diverging"],
)
def test_router_that_does_not_converge_is_stopped(flow, last, told):
    recipe(
        flow,
        *(iteration(1, 9000), iteration(70, 5), "sleep 4"),
        *(iteration(79, 100 * GROWN), "sleep 4"),
        *(last, "sleep 600; touch late"),
    )
    begin, heard = time.monotonic(), []
    with pytest.raises(NotRouted, match=rf"the router found no way {told} are left; .*{LOG}"):
        flow.run(flow.placed, heard.extend)
    assert 4 <= time.monotonic() - begin < 120
    assert any("iter=79" in line for line in heard)


def test_a_router_that_only_looks_for_faster_ways(flow):
    recipe(flow, iteration(MOST_ITERATIONS + 1, 0), "sleep 600; touch late")
    with pytest.raises(NotInTime, match=f"not met in {MOST_ITERATIONS + 1} iterations"):
        flow.run(flow.placed)


def test_the_tools_reason_is_told(flow):
    recipe(flow, f"echo 'ERROR: no more bels of type X.' > {LOG}", "false")
    with pytest.raises(HoldfastError, match=r"failed: no more bels of type X; .* has the details"):
        flow.run(flow.placed)
