"""Running what edalize wrote: failures, a router that never ends, seeds that cannot be routed."""

import dataclasses
import json
import os
import time

import pytest

import holdfast.constraints.__main__ as command
from holdfast.base.command import run
from holdfast.base.errors import HoldfastError
from holdfast.constraints.boards import find_board
from holdfast.constraints.families.base import Cost
from holdfast.constraints.flow import bitstream, build
from holdfast.constraints.flow.bitstream import REPORT, Placed, Synthesized
from holdfast.constraints.flow.place_flow import (
    GROWN,
    LOG,
    MOST_ITERATIONS,
    NETLIST,
    NotInTime,
    NotRouted,
    PlaceFlow,
)
from holdfast.gen.config import AcceleratorConfig


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


@pytest.mark.long(keep=1)
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


@pytest.mark.parametrize("name", ["ulx3s", "icebreaker", "tangnano20k"])
@pytest.mark.parametrize("time_first", [True, False])
def test_only_the_ecp5_takes_up_what_is_too_slow(tmp_path, name, time_first):
    board = find_board(name)
    (tmp_path / NETLIST).write_text("{}")
    (tmp_path / board.pin_file.name).write_text("")
    PlaceFlow.make(board, tmp_path, 3, time_first)
    text = (tmp_path / "Makefile").read_text()
    assert f"--seed 3 --freq {board.core_mhz:g}" in text
    for option in ("--tmg-ripup", "--placer-heap-timingweight 30"):
        assert (option in text) == (time_first and name == "ulx3s")


class Recorded:
    """In place of a flow: what it was made and asked for."""

    placed, bitstream = "top.config", "top.bit"

    def __init__(self, place, failure, calls, time_first):
        self.place, self.failure = place, failure
        self.calls, self.time_first = calls, time_first

    def run(self, target, said=None):
        self.calls.append((target, self.time_first))
        if self.time_first and self.failure:
            raise self.failure
        for name in (target, REPORT):
            (self.place / name).write_text("{}")


@pytest.mark.parametrize("failure", [None, NotInTime("slow"), NotRouted("no way")], ids=str)
def test_a_clock_that_is_missed_is_still_measured(monkeypatch, tmp_path, failure):
    """Without what never ends, once; where there is no way at all, not again."""
    board, calls = find_board("ulx3s"), []
    folder = tmp_path / "synthesis"
    folder.mkdir()
    (folder / NETLIST).write_text("{}")

    def make(board, place, seed, time_first=True):
        (place / "Makefile").write_text("")
        return Recorded(place, failure, calls, time_first)

    monkeypatch.setattr(bitstream.PlaceFlow, "make", make)
    monkeypatch.setattr(bitstream, "read_report", lambda *_: "report")
    design = Synthesized(folder, Cost(), {})
    if isinstance(failure, NotRouted):
        with pytest.raises(NotRouted, match="no way"):
            bitstream.place(board, design, 1, lambda _: None)
        assert calls == [("top.config", True)]
        assert not (tmp_path / "seed_1/made_from").exists()
        return
    assert bitstream.place(board, design, 1, lambda _: None) == "report"
    assert calls == [("top.config", True), ("top.config", False)][: 2 if failure else 1]


def test_other_seeds_go_on(monkeypatch, capsys, tmp_path):
    """One that cannot be routed is told; if none can, that is an error, and nothing is written."""
    board = find_board("ulx3s")
    placed = Placed(tmp_path, 2, 81.5, 0.2, "a to b", {}, 1.0)
    routed = {2, 3}

    def place(board, design, seed, progress):
        if seed not in routed:
            raise NotRouted(f"no way for {seed}.")
        return dataclasses.replace(placed, seed=seed, fmax_mhz=80 + seed)

    monkeypatch.setattr(build, "synthesize_board", lambda *_: Synthesized(tmp_path, Cost(), {}))
    monkeypatch.setattr(build, "place", place)
    image = tmp_path / "top.bit"
    image.write_bytes(b"bits")
    monkeypatch.setattr(build, "pack", lambda *_: image)
    small = tmp_path / "small.toml"
    small.write_text(AcceleratorConfig(rows=1, cols=1, act_depth=64).to_toml())
    words = ["constraints", "--board", board.name, "--config", str(small), "--seeds", "3"]
    monkeypatch.setattr("sys.argv", [*words, "--output", str(tmp_path / "out")])
    assert run(command.app) == 0
    assert "seed 1: no way for 1." in capsys.readouterr().out
    summary = json.loads((tmp_path / "out/ulx3s/summary.json").read_text())
    assert summary["seeds"] == {"2": 82, "3": 83} and summary["fmax_mhz"] == 83
    routed.clear()
    (tmp_path / "out/ulx3s/summary.json").unlink()
    assert run(command.app) == 2
    assert "none of 3 placements could be routed; try more seeds." in capsys.readouterr().err
    assert not (tmp_path / "out/ulx3s/summary.json").exists()


def test_the_tools_reason_is_told(flow):
    recipe(flow, f"echo 'ERROR: no more bels of type X.' > {LOG}", "false")
    with pytest.raises(HoldfastError, match=r"failed: no more bels of type X; .* has the details"):
        flow.run(flow.placed)
